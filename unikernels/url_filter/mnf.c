/*
 * The path is compared as a server would understand it: escapes decoded as often as they were encoded, backslashes as slashes, '//' and '.'
 * and '..' resolved. The query is left out.
 */
#include "manifest.h"

enum { PATH = 1024, HOST_MOST = 256, PATTERNS = 4096, ROUNDS = 4 };

static const char *patterns[PATTERNS];
static u32 n_patterns;

struct memory {
	u32 path_len, host_len;
	bool query, too_long;
	char path[PATH], host[HOST_MOST];
};

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static char *kept(const char *text)
{
	char *copy = memory(strlen(text) + 1);

	for (u32 i = 0; text[i]; i++)
		copy[i] = lower(text[i]);
	return copy;
}

ADD(deny)
{
	u32 i = 0;

	while (item[i] && item[i] != '/')
		i++;
	if (!item[i])
		return "a pattern needs a path: [host]/path";
	if (n_patterns == PATTERNS)
		return "too many patterns";
	patterns[n_patterns++] = kept(item);
	return 0;
}

/* Whether `text` is what `pattern`, up to `end`, stands for. */
static bool matches(const char *pattern, const char *end, const char *text, u32 len)
{
	const char *star = 0;
	u32 i = 0, retry = 0;

	while (i < len) {
		if (pattern < end && *pattern == '*')
			star = pattern++, retry = i;
		else if (pattern < end && *pattern == text[i])
			pattern++, i++;
		else if (star)
			pattern = star + 1, i = ++retry;
		else
			return false;
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One round of decoding, in place; false when nothing was encoded. %2525252e takes one round, since a decoded '%' is looked at again. */
static bool decode(struct memory *m)
{
	char *path = m->path;
	u32 to = 0;

	for (u32 i = 0; i < m->path_len; i++, to++) {
		while (path[i] == '%' && i + 2 < m->path_len && hex(path[i + 1]) >= 0 && hex(path[i + 2]) >= 0) {
			path[i + 2] = (char)(hex(path[i + 1]) << 4 | hex(path[i + 2]));
			i += 2;
		}
		path[to] = path[i];
	}
	if (to == m->path_len)
		return false;
	m->path_len = to;
	return true;
}

/* Lower case, slashes, and no segments that mean nothing, in place. */
static void resolve(struct memory *m)
{
	u32 to = 0, len = m->path_len;

	for (u32 i = 0; i < len; i++)
		m->path[i] = m->path[i] == '\\' ? '/' : lower(m->path[i]);
	for (u32 i = 0; i < len;) {
		u32 end = i + 1;

		while (end < len && m->path[end] != '/')
			end++;
		if (end == i + 1 && end < len) {
			/* '//' */
		} else if (end == i + 2 && m->path[i + 1] == '.') {
			if (end == len)
				m->path[to++] = '/';
		} else if (end == i + 3 && m->path[i + 1] == '.' && m->path[i + 2] == '.') {
			while (to && m->path[--to] != '/')
				;
			if (end == len)
				m->path[to++] = '/';
		} else {
			memmove(m->path + to, m->path + i, end - i);
			to += end - i;
		}
		i = end;
	}
	m->path_len = to;
}

/* http://host/path: the host goes where that of the header would. */
static void split_absolute(struct memory *m)
{
	u32 i = 0, start;

	while (i < m->path_len && m->path[i] != ':' && m->path[i] != '/')
		i++;
	if (i + 2 >= m->path_len || memcmp(m->path + i, "://", 3))
		return;
	start = i += 3;
	while (i < m->path_len && m->path[i] != '/')
		i++;
	m->host_len = i - start < HOST_MOST ? i - start : HOST_MOST - 1;
	memcpy(m->host, m->path + start, m->host_len);
	m->path_len -= i;
	memmove(m->path, m->path + i, m->path_len);
	if (!m->path_len)
		m->path[m->path_len++] = '/';
}

/* Lower case, without blanks, user and port. */
static void trim_host(struct memory *m)
{
	u32 to = 0;
	bool bracket = false;

	for (u32 i = 0; i < m->host_len; i++) {
		char c = lower(m->host[i]);

		bracket = c == '[' || (bracket && c != ']');
		if (c == '@')
			to = 0;
		else if (c == ':' && !bracket)
			break;
		else if (c > ' ')
			m->host[to++] = c;
	}
	while (to && m->host[to - 1] == '.')
		to--;
	m->host_len = to;
}

static int judge(struct memory *m)
{
	u32 rounds = 0;

	if (m->too_long)
		return DROP(url_too_long);
	split_absolute(m);
	trim_host(m);
	while (decode(m))
		if (++rounds > ROUNDS)
			return DROP(url_disguised);
	resolve(m);
	for (u32 i = 0; i < n_patterns; i++) {
		const char *path = patterns[i];

		while (*path != '/')
			path++;
		if (path != patterns[i] && !matches(patterns[i], path, m->host, m->host_len))
			continue;
		if (matches(path, path + strlen(path), m->path, m->path_len))
			return DROP(url_denied);
	}
	return NEXT;
}

static void keep(struct memory *m, char *to, u32 *len, u32 most, const u8 *bytes, u32 n)
{
	if (n > most - *len) {
		m->too_long = true;
		n = most - *len;
	}
	memcpy(to + *len, bytes, n);
	*len += n;
}

static int part(void *own, enum part part, const u8 *bytes, u32 len)
{
	struct memory *m = own;
	u32 n = 0;

	switch (part) {
	case REQUEST:
		m->path_len = m->host_len = 0;
		m->query = m->too_long = false;
		return NEXT;
	case TARGET:
		while (!m->query && n < len && bytes[n] != '?' && bytes[n] != '#')
			n++;
		keep(m, m->path, &m->path_len, PATH - 1, bytes, n);
		m->query |= n < len;
		return NEXT;
	case HOST:
		keep(m, m->host, &m->host_len, HOST_MOST - 1, bytes, len);
		return NEXT;
	case HEAD_END:
		return judge(m);
	default:
		return NEXT;
	}
}

STREAM = {.size = sizeof(struct memory), .part = part};
