/*
 * Strict on purpose: where servers are known to disagree about the end of a request or of a line (folded lines, two lengths, lone CR), the
 * request is ambiguous, since one hidden inside another would not be seen.
 */
#include "http.h"

enum state {
	START, METHOD, AT_TARGET, VERSION, NAME, VALUE, BODY, CHUNK_SIZE, CHUNK_REST, CHUNK, CHUNK_END, TRAILER, TUNNEL, ADOPTED,
};

enum { GO_ON = NEXT, HEAD_DONE = -4, MESSAGE_DONE = -5 };

static bool is_token(u8 c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
		return true;
	for (u32 i = 0; others[i]; i++)
		if (c == (u8)others[i])
			return true;
	return false;
}

static char lower(u8 c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool begins(const struct http *h, const char *word)
{
	u32 i = 0;

	while (word[i] && i < h->value_len && h->value[i] == word[i])
		i++;
	return !word[i];
}

static bool named(const struct http *h, const char *word)
{
	return h->name_len == strlen(word) && !memcmp(h->name, word, h->name_len);
}

static int length_line(struct http *h)
{
	if (h->has_length || !h->value_len || h->value_len > 18)
		return HTTP_AMBIGUOUS;
	h->has_length = true;
	for (u32 i = 0; i < h->value_len; i++) {
		if (h->value[i] < '0' || h->value[i] > '9')
			return HTTP_AMBIGUOUS;
		h->left = h->left * 10 + (u64)(h->value[i] - '0');
	}
	return GO_ON;
}

static int header_line(struct http *h)
{
	while (h->value_len && (h->value[h->value_len - 1] == ' ' || h->value[h->value_len - 1] == '\t'))
		h->value_len--;
	if (named(h, "content-length"))
		return length_line(h);
	if (named(h, "transfer-encoding")) {
		if (h->chunked || h->value_len != 7 || !begins(h, "chunked"))
			return HTTP_AMBIGUOUS;
		h->chunked = true;
	} else if (named(h, "content-type")) {
		h->typed = true;
		h->form |= begins(h, "application/x-www-form-urlencoded") || begins(h, "multipart/form-data");
	} else if (named(h, "content-encoding")) {
		h->encoded = true;
	} else if (named(h, "upgrade")) {
		h->upgrade = true;
	}
	return GO_ON;
}

static void begin_line(struct http *h, enum state state)
{
	h->state = (u8)state;
	h->name_len = h->value_len = 0;
	h->host = false;
}

static int head_end(struct http *h)
{
	if (h->has_length && h->chunked)
		return HTTP_AMBIGUOUS;
	h->form = (h->form || !h->typed) && !h->encoded;
	if (h->chunked)
		h->state = CHUNK_SIZE, h->line = 0, h->left = 0;
	else
		h->state = h->left ? BODY : START;
	return HEAD_DONE;
}

/* A line of the head, or of the trailer, has ended. */
static int line_end(struct http *h)
{
	int result;

	switch (h->state) {
	case VERSION:
		if (h->line != 8)
			return HTTP_AMBIGUOUS;
		begin_line(h, NAME);
		return GO_ON;
	case VALUE:
		result = header_line(h);
		begin_line(h, NAME);
		return result;
	case NAME:
		return h->name_len ? HTTP_AMBIGUOUS : head_end(h);
	case TRAILER:
		if (!h->line)
			return MESSAGE_DONE;
		h->line = 0;
		return GO_ON;
	case CHUNK_SIZE:
		if (!h->line)
			return HTTP_AMBIGUOUS;
		/* fall through */
	case CHUNK_REST:
		h->state = h->left ? CHUNK : TRAILER;
		h->line = 0;
		return GO_ON;
	case CHUNK_END:
		h->state = CHUNK_SIZE;
		h->line = 0;
		h->left = 0;
		return GO_ON;
	case START:
		return GO_ON;	/* an empty line before a request */
	}
	return HTTP_AMBIGUOUS;
}

static int size_digit(struct http *h, u8 c)
{
	u8 low = (u8)lower(c), digit;

	if (c == ';' || c == ' ' || c == '\t') {
		if (!h->line)
			return HTTP_AMBIGUOUS;
		h->state = CHUNK_REST;
		return GO_ON;
	}
	if (c >= '0' && c <= '9')
		digit = (u8)(c - '0');
	else if (low >= 'a' && low <= 'f')
		digit = (u8)(low - 'a' + 10);
	else
		return HTTP_AMBIGUOUS;
	if (++h->line > 15)
		return HTTP_AMBIGUOUS;
	h->left = h->left << 4 | digit;
	return GO_ON;
}

/* A byte that is no line end, outside bodies. */
static int byte(struct http *h, u8 c)
{
	static const char version[] = "HTTP/1.";

	switch (h->state) {
	case METHOD:
		if (c == ' ')
			h->state = AT_TARGET;
		else if (!((c >= 'A' && c <= 'Z') || c == '-' || c == '_') || ++h->line > 20)
			return HTTP_NOT;
		return GO_ON;
	case AT_TARGET:
		if (c == ' ')
			h->state = VERSION, h->line = 0;
		else if (c < 0x21 || c == 0x7f)
			return HTTP_AMBIGUOUS;
		return GO_ON;
	case VERSION:
		if (h->line < 7 ? c != version[h->line] : h->line > 7 || (c != '0' && c != '1'))
			return HTTP_AMBIGUOUS;
		h->line++;
		return GO_ON;
	case NAME:
		if (c == ':' && h->name_len) {
			h->state = VALUE;
			h->host = named(h, "host");
			return GO_ON;
		}
		if (!is_token(c))
			return HTTP_AMBIGUOUS;
		if (h->name_len < HTTP_WORD)
			h->name[h->name_len++] = lower(c);
		return GO_ON;
	case VALUE:
		if (!c)
			return HTTP_AMBIGUOUS;
		if (h->value_len < HTTP_WORD && (h->value_len || (c != ' ' && c != '\t')))
			h->value[h->value_len++] = lower(c);
		return GO_ON;
	case CHUNK_SIZE:
		return size_digit(h, c);
	case CHUNK_REST:
		return GO_ON;
	case TRAILER:
		h->line = 1;
		return GO_ON;
	}
	return HTTP_AMBIGUOUS;	/* behind a chunk stands a line end */
}

static int begin_request(struct http *h, u8 c)
{
	memset(h, 0, sizeof *h);
	h->state = METHOD;
	return c >= 'A' && c <= 'Z' ? GO_ON : HTTP_NOT;
}

static bool looks_like_request(const u8 *bytes, u32 len)
{
	u32 i = 0;

	while (i < len && i < 20 && bytes[i] >= 'A' && bytes[i] <= 'Z')
		i++;
	return i >= 3 && i + 1 < len && bytes[i] == ' ' && (bytes[i + 1] == '/' || bytes[i + 1] == '*' || lower(bytes[i + 1]) == 'h');
}

struct reader {
	struct http *h;
	int (*part)(void *to, enum part, const u8 *, u32);
	void *to;
};

static bool in_head(u8 state)
{
	return state >= METHOD && state <= VALUE;
}

/* Bytes of a head, one line end at most: up to where something else begins. Their number in `n`. */
static int read_line(struct reader *r, const u8 *bytes, u32 len, u32 *n)
{
	struct http *h = r->h;
	int result = GO_ON, told = NEXT;
	u32 i = 0, from = 0;
	u8 before = h->state;
	bool head = in_head(before), host = h->host;

	for (; i < len && result == GO_ON; i++) {
		u8 c = bytes[i];

		if (c == '\n') {
			h->cr = false;
			result = line_end(h);
			i++;
			break;
		}
		if (h->cr)
			result = HTTP_AMBIGUOUS;
		else if (c == '\r')
			h->cr = true;
		else
			result = byte(h, c);
		if (h->state != before) {
			if (before == AT_TARGET)
				told = r->part(r->to, TARGET, bytes + from, i - from);
			from = i + 1;
			before = h->state;
			host = h->host;
			if (told != NEXT)
				return told;
		}
	}
	*n = i;
	if (result != GO_ON && result != HEAD_DONE && result != MESSAGE_DONE)
		return result;
	if (before == AT_TARGET && i > from)
		told = r->part(r->to, TARGET, bytes + from, i - from);
	if (before == VALUE && i > from && host && told == NEXT)
		told = r->part(r->to, HOST, bytes + from, i - from);
	if (told == NEXT && head)
		told = r->part(r->to, HEAD, bytes, i);
	return told == NEXT ? result : told;
}

static int read_body(struct reader *r, const u8 *bytes, u32 len, u32 *n)
{
	struct http *h = r->h;
	int told = NEXT;

	*n = h->left < len ? (u32)h->left : len;
	h->left -= *n;
	if (h->form)
		told = r->part(r->to, FORM, bytes, *n);
	if (told != NEXT || h->left)
		return told;
	if (h->state == BODY)
		return MESSAGE_DONE;
	h->state = CHUNK_END;
	return GO_ON;
}

static int read_some(struct reader *r, const u8 *bytes, u32 len, u32 *n)
{
	struct http *h = r->h;
	int result, told;

	if (h->state == START && bytes[0] != '\r' && bytes[0] != '\n') {
		if (h->cr || begin_request(h, bytes[0]) != GO_ON)
			return HTTP_NOT;
		told = r->part(r->to, REQUEST, bytes, 0);
		if (told != NEXT)
			return told;
	}
	result = h->state == BODY || h->state == CHUNK ? read_body(r, bytes, len, n) : read_line(r, bytes, len, n);
	if (result == HEAD_DONE) {
		told = r->part(r->to, HEAD_END, bytes, h->state != START && !h->form);
		if (told != NEXT)
			return told;
		result = h->state == START ? MESSAGE_DONE : GO_ON;
	}
	if (result == MESSAGE_DONE) {
		h->state = START;
		result = r->part(r->to, REQUEST_END, bytes, 0);
	}
	return result;
}

int http_read(struct http *http, const u8 *bytes, u32 len, int (*part)(void *to, enum part, const u8 *, u32), void *to)
{
	struct reader reader = {.h = http, .part = part, .to = to};
	int result = NEXT;

	if (http->state == ADOPTED && looks_like_request(bytes, len))
		http->state = START;
	for (u32 at = 0, n = 0; at < len && result == NEXT; at += n) {
		if (http->state == TUNNEL || http->state == ADOPTED)
			return NEXT;
		n = 0;
		result = read_some(&reader, bytes + at, len - at, &n);
	}
	return result;
}

void http_adopt(struct http *http)
{
	http->state = ADOPTED;
}

void http_switched(struct http *http)
{
	if (http->upgrade && http->state == START)
		http->state = TUNNEL;
}

bool http_says_switched(const u8 *answer, u32 len)
{
	return len >= 12 && !memcmp(answer, "HTTP/1.1 101", 12);
}
