/*
 * SQL injection, by patterns of tokens. Bytes become characters (escapes decoded), characters words and separators, these become tokens, and
 * tokens move markers through all patterns at once: the places of a pattern are neighbouring bits, a marker is a bit that is set
 * (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
 *
 * What steers branches lives in scratch, and the straight ways through the loops are short: both keep the verifier's work linear.
 */

enum {
	LOCAL(BYTES) = 1024,		/* of payload that are looked at */
	LOCAL(LEXEMES) = 256,		/* words with what separates them, ditto */
	LOCAL(KEYWORDS) = 128,
	LOCAL(NO_DIGIT) = 16,

	LOCAL(FIRST_PLACE) = 60,	/* beside numbers of tokens: what a place in a pattern may be */
	LOCAL(LAST_PLACE),
	LOCAL(OPTIONAL),
	LOCAL(REPEATED),

	LOCAL(SOFT) = 64,		/* beside a token's number: patterns go on as if it weren't there, */
	LOCAL(PLAIN) = 128,		/* it is a number or a word that is no keyword, */
	LOCAL(CALLED) = 256,		/* it is a function if it is called, else a plain word, */
	LOCAL(TARGET) = 512,		/* it ends a request's target if a slash follows, ditto */
};

/* ---- patterns. Tokens and places have names of four letters; at a place, Xxxx may be left out and xxxX may come again. */

static inline u32 LOCAL(number)(u32 name)
{
	switch (name) {
	case 'none':
		return 0;
	case 'quot':
		return 1;
	case 'logi':
		return 2;
	case 'bare':
		return 3;
	case 'wher':
		return 4;
	case 'numb':
		return 5;
	case 'frst':
		return 6;
	case 'word':
		return 7;
	case 'null':
		return 8;
	case 'same':
		return 9;
	case 'saml':
		return 10;
	case 'pare':
		return 11;
	case 'comp':
		return 12;
	case 'like':
		return 13;
	case 'is  ':
		return 14;
	case 'comm':
		return 15;
	case 'semi':
		return 16;
	case 'at  ':
		return 17;
	case 'star':
		return 18;
	case 'rema':
		return 19;
	case 'end ':
		return 20;
	case 'call':
		return 21;
	case 'cond':
		return 22;
	case 'slee':
		return 23;
	case 'stro':
		return 24;
	case 'unio':
		return 25;
	case 'all ':
		return 26;
	case 'sele':
		return 27;
	case 'subs':
		return 28;
	case 'from':
		return 29;
	case 'cata':
		return 30;
	case 'into':
		return 31;
	case 'orde':
		return 32;
	case 'by  ':
		return 33;
	case 'ddl ':
		return 34;
	case 'tabl':
		return 35;
	case 'dele':
		return 36;
	case 'inse':
		return 37;
	case 'vals':
		return 38;
	case 'upda':
		return 39;
	case 'set ':
		return 40;
	case 'exec':
		return 41;
	case 'shel':
		return 42;
	case 'wait':
		return 43;
	case 'dela':
		return 44;
	}
	return 0;
}

static inline u64 LOCAL(bit)(u32 name)
{
	return 1ull << LOCAL(number)(name);
}

/* The tokens that may stand at a place. */
static inline u64 LOCAL(tokens)(u32 place)
{
	u64 operand = LOCAL(bit)('word') | LOCAL(bit)('numb') | LOCAL(bit)('null');
	u64 quote = LOCAL(bit)('quot'), end = LOCAL(bit)('end '), remark = LOCAL(bit)('rema'), comma = LOCAL(bit)('comm');

	switch (place | 0x20202020) {
	case 'oper':
		return operand;
	case 'valu':
		return operand | quote;
	case 'item':
		return operand | quote | LOCAL(bit)('star');
	case 'argu':
		return operand | quote | LOCAL(bit)('at  ') | LOCAL(bit)('call') | LOCAL(bit)('slee') | LOCAL(bit)('sele');
	case 'list':
		return operand | comma | LOCAL(bit)('from') | LOCAL(bit)('cata') | LOCAL(bit)('star');
	case 'cols':
		return comma | LOCAL(bit)('word');
	case 'lite':
		return quote | LOCAL(bit)('numb') | LOCAL(bit)('null') | LOCAL(bit)('star');
	case 'trut':
		return LOCAL(bit)('numb') | LOCAL(bit)('null');
	case 'cons':
		return quote | LOCAL(bit)('numb') | LOCAL(bit)('call') | LOCAL(bit)('slee');
	case 'time':
		return LOCAL(bit)('numb') | LOCAL(bit)('sele') | LOCAL(bit)('call');
	case 'out ':	/* out of the value that the program meant to take */
		return quote | LOCAL(bit)('frst');
	case 'grou':
		return quote | LOCAL(bit)('pare');
	case 'func':
		return LOCAL(bit)('call') | LOCAL(bit)('cond');
	case 'pick':
		return LOCAL(bit)('sele') | LOCAL(bit)('from');
	case 'made':
		return LOCAL(bit)('call') | LOCAL(bit)('slee') | LOCAL(bit)('cata');
	case 'dang':
		return LOCAL(bit)('shel') | LOCAL(bit)('stro');
	case 'verb':
		return LOCAL(bit)('wait') | LOCAL(bit)('into');
	case 'what':
		return quote | remark | LOCAL(bit)('at  ') | LOCAL(bit)('shel');
	case 'more':
		return comma | remark | LOCAL(bit)('from');
	case 'stop':
		return comma | remark | end | LOCAL(bit)('from');
	case 'done':
		return quote | remark | end | LOCAL(bit)('semi');
	case 'term':
		return remark | LOCAL(bit)('wher') | LOCAL(bit)('semi');
	case 'tail':
		return remark | end;
	case 'clos':
		return end | LOCAL(bit)('wher');
	}
	return LOCAL(bit)(place | 0x20202020);
}

/* Appends a place to `places`: a bit, set if one of the tokens `t` may stand there. */
static inline u64 LOCAL(place)(u64 places, u64 t, u32 place, u32 next)
{
	u64 fits = LOCAL(tokens)(place);

	if (!place)
		return places;
	if (!(place & 0x20000000))
		fits |= 1ull << LOCAL(OPTIONAL);
	if (!(place & 0x20))
		fits |= 1ull << LOCAL(REPEATED);
	if (!next)
		fits |= 1ull << LOCAL(LAST_PLACE);
	return places << 1 | !!(fits & t);
}

/* Appends a pattern. */
static inline u64 LOCAL(rule)(u64 places, u64 t, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f, u32 g)
{
	u64 first = LOCAL(tokens)(a) | 1ull << LOCAL(FIRST_PLACE);

	places = places << 1 | !!(first & t);
	places = LOCAL(place)(places, t, b, c);
	places = LOCAL(place)(places, t, c, d);
	places = LOCAL(place)(places, t, d, e);
	places = LOCAL(place)(places, t, e, f);
	places = LOCAL(place)(places, t, f, g);
	return LOCAL(place)(places, t, g, 0);
}

/* Out of a string or number into the condition around it. */
static inline u64 LOCAL(breakout)(u64 t)
{
	u64 p = 0;

	p = LOCAL(rule)(p, t, 'quot', 'logi', 'numb', 'comp', 'argu', 0, 0);
	p = LOCAL(rule)(p, t, 'quot', 'logi', 'quot', 'Oper', 'quot', 'comp', 'valu');
	p = LOCAL(rule)(p, t, 'frst', 'logi', 'numb', 'comp', 'cons', 0, 0);
	p = LOCAL(rule)(p, t, 'logi', 'Quot', 'oper', 'Quot', 'comp', 'Quot', 'same');
	p = LOCAL(rule)(p, t, 'out ', 'logi', 'numb', 'like', 'grou', 0, 0);
	p = LOCAL(rule)(p, t, 'logi', 'Quot', 'oper', 'Quot', 'like', 'Quot', 'saml');
	p = LOCAL(rule)(p, t, 'quot', 'rema', 'end ', 0, 0, 0, 0);
	p = LOCAL(rule)(p, t, 'quot', 'bare', 'quot', 'oper', 'end ', 0, 0);
	p = LOCAL(rule)(p, t, 'out ', 'orde', 'by  ', 'numb', 'stop', 0, 0);
	p = LOCAL(rule)(p, t, 'out ', 'Logi', 'slee', 'time', 0, 0, 0);
	p = LOCAL(rule)(p, t, 'out ', 'logi', 'func', 0, 0, 0, 0);
	return LOCAL(rule)(p, t, 'out ', 'logi', 'Oper', 'subs', 0, 0, 0);
}

/* Statements of their own. */
static inline u64 LOCAL(statement)(u64 t)
{
	u64 p = 0;

	p = LOCAL(rule)(p, t, 'unio', 'All ', 'sele', 'at  ', 0, 0, 0);
	p = LOCAL(rule)(p, t, 'unio', 'All ', 'sele', 'lite', 'more', 0, 0);
	p = LOCAL(rule)(p, t, 'frst', 'unio', 'All ', 'sele', 'item', 'stop', 0);
	p = LOCAL(rule)(p, t, 'quot', 'unio', 'All ', 'sele', 'lisT', 'rema', 'end ');
	p = LOCAL(rule)(p, t, 'pick', 'made', 0, 0, 0, 0, 0);
	p = LOCAL(rule)(p, t, 'semi', 'ddl ', 'tabl', 'word', 'done', 0, 0);
	p = LOCAL(rule)(p, t, 'semi', 'dele', 'from', 'word', 'term', 0, 0);
	p = LOCAL(rule)(p, t, 'semi', 'inse', 'into', 'colS', 'vals', 'argu', 0);
	p = LOCAL(rule)(p, t, 'semi', 'upda', 'word', 'set ', 'word', 'comp', 0);
	p = LOCAL(rule)(p, t, 'semi', 'exec', 'what', 0, 0, 0, 0);
	p = LOCAL(rule)(p, t, 'dang', 'argu', 0, 0, 0, 0, 0);
	p = LOCAL(rule)(p, t, 'verb', 'dela', 'quot', 0, 0, 0, 0);
	p = LOCAL(rule)(p, t, 'sele', 'star', 'from', 'word', 0, 0, 0);
	return LOCAL(rule)(p, t, 'frst', 'logi', 'trut', 'rema', 'end ', 0, 0);
}

/* What a query language of the application's own may look like too. Together with a comment at the field's end it counts as injection. */
static inline u64 LOCAL(doubtful)(u64 t)
{
	u64 p = 0;

	p = LOCAL(rule)(p, t, 'quot', 'logi', 'trut', 'tail', 0, 0, 0);
	p = LOCAL(rule)(p, t, 'quot', 'logi', 'oper', 'comp', 'valu', 0, 0);
	p = LOCAL(rule)(p, t, 'quot', 'logi', 'Quot', 'oper', 'Quot', 'like', 'grou');
	p = LOCAL(rule)(p, t, 'quot', 'logi', 'oper', 'is  ', 'null', 0, 0);
	p = LOCAL(rule)(p, t, 'quot', 'unio', 'All ', 'sele', 'oper', 'more', 0);
	return LOCAL(rule)(p, t, 'comp', 'subs', 'oper', 'from', 'word', 'clos', 0);
}

/* Where in each table of patterns the token may stand. Called once for each token: the rest works with what is noted here. */
static inline void LOCAL(learn)(struct pkt *pkt, u32 name, u32 other)
{
	u32 number = LOCAL(number)(name);
	u64 t = LOCAL(bit)(name) | LOCAL(bit)(other);

	scratch->breakout[number] = LOCAL(breakout)(t);
	scratch->statement[number] = LOCAL(statement)(t);
	scratch->doubtful[number] = LOCAL(doubtful)(t);
}

static inline void LOCAL(learn_places)(struct pkt *pkt)
{
	LOCAL(learn)(pkt, 'none', 'none');
	LOCAL(learn)(pkt, 'quot', 'quot');
	LOCAL(learn)(pkt, 'logi', 'logi');
	LOCAL(learn)(pkt, 'bare', 'bare');
	LOCAL(learn)(pkt, 'wher', 'logi');
	LOCAL(learn)(pkt, 'numb', 'numb');
	LOCAL(learn)(pkt, 'frst', 'frst');
	LOCAL(learn)(pkt, 'word', 'word');
	LOCAL(learn)(pkt, 'null', 'null');
	LOCAL(learn)(pkt, 'same', 'same');
	LOCAL(learn)(pkt, 'saml', 'saml');
	LOCAL(learn)(pkt, 'pare', 'pare');
	LOCAL(learn)(pkt, 'comp', 'comp');
	LOCAL(learn)(pkt, 'like', 'like');
	LOCAL(learn)(pkt, 'is  ', 'is  ');
	LOCAL(learn)(pkt, 'comm', 'comm');
	LOCAL(learn)(pkt, 'semi', 'semi');
	LOCAL(learn)(pkt, 'at  ', 'at  ');
	LOCAL(learn)(pkt, 'star', 'star');
	LOCAL(learn)(pkt, 'rema', 'rema');
	LOCAL(learn)(pkt, 'end ', 'end ');
	LOCAL(learn)(pkt, 'call', 'call');
	LOCAL(learn)(pkt, 'cond', 'cond');
	LOCAL(learn)(pkt, 'slee', 'slee');
	LOCAL(learn)(pkt, 'stro', 'stro');
	LOCAL(learn)(pkt, 'unio', 'unio');
	LOCAL(learn)(pkt, 'all ', 'all ');
	LOCAL(learn)(pkt, 'sele', 'sele');
	LOCAL(learn)(pkt, 'subs', 'subs');
	LOCAL(learn)(pkt, 'from', 'from');
	LOCAL(learn)(pkt, 'cata', 'cata');
	LOCAL(learn)(pkt, 'into', 'into');
	LOCAL(learn)(pkt, 'orde', 'orde');
	LOCAL(learn)(pkt, 'by  ', 'by  ');
	LOCAL(learn)(pkt, 'ddl ', 'ddl ');
	LOCAL(learn)(pkt, 'tabl', 'tabl');
	LOCAL(learn)(pkt, 'dele', 'dele');
	LOCAL(learn)(pkt, 'inse', 'inse');
	LOCAL(learn)(pkt, 'vals', 'vals');
	LOCAL(learn)(pkt, 'upda', 'upda');
	LOCAL(learn)(pkt, 'set ', 'set ');
	LOCAL(learn)(pkt, 'exec', 'exec');
	LOCAL(learn)(pkt, 'shel', 'shel');
	LOCAL(learn)(pkt, 'wait', 'wait');
	LOCAL(learn)(pkt, 'dela', 'dela');
}

/* ---- tokens */

/* What a character is to its neighbours. */
enum {
	LOCAL(IS_NOTHING),	/* passed over: brackets, dots and the like */
	LOCAL(IS_WORD),
	LOCAL(IS_SPACE),
	LOCAL(IS_FIELD),	/* a line or a parameter ends */
	LOCAL(IS_NEWLINE),	/* a field's end, but a blank if it was escaped */
	LOCAL(IS_AMPERSAND),	/* ditto, but an operator */
	LOCAL(IS_PLUS),		/* a blank, but passed over */
	LOCAL(IS_QUOTE),
	LOCAL(IS_APOSTROPHE),
	LOCAL(IS_PAREN),
	LOCAL(IS_ANGLE),
	LOCAL(IS_EQUAL),
	LOCAL(IS_DASH),
	LOCAL(IS_PIPE),
	LOCAL(IS_STAR),
	LOCAL(IS_SLASH),
	LOCAL(IS_DOT),
	LOCAL(IS_COMMA),
	LOCAL(IS_SEMICOLON),
	LOCAL(IS_AT),
	LOCAL(IS_HASH),
	LOCAL(IS_BARRIER),	/* no pattern goes on behind it */
	LOCAL(IS_OPEN),		/* the star of a comment's beginning */
	LOCAL(IS_CLOSE),	/* the slash of its end */
	LOCAL(IN_WORD) = 64,	/* besides: may stand in a word, */
	LOCAL(IS_HEX) = 128,	/* is a hexadecimal digit */
};

/* `a` where the mask is all ones, `b` where it is zero; without a branch. */
static inline u64 LOCAL(choose)(u64 mask, u64 a, u64 b)
{
	return b ^ ((a ^ b) & mask);
}

/* All ones if what `kind` says is one of the two, else zero; without a branch. */
static inline u64 LOCAL(is)(u64 kind, u32 one, u32 other)
{
	return -opaque((1ull << one | 1ull << other) >> kind & 1);
}

static inline u64 LOCAL(equal)(u64 a, u64 b)
{
	u64 differ = opaque((a ^ b) | -(a ^ b));

	return opaque(differ >> 63) - 1;
}

/* 1 if a < b, else 0: the borrow of a - b. */
static inline u64 LOCAL(below)(u64 a, u64 b)
{
	return opaque((~a & b) | (~(a ^ b) & (a - b))) >> 63;
}

/* Tells apart the characters that mean something. */
static inline void LOCAL(learn_characters)(struct pkt *pkt)
{
	for (u32 c = 0; c < 32; c++)
		scratch->character[c] = LOCAL(IS_NOTHING);
	for (u32 c = '\t'; c <= '\r'; c++)
		scratch->character[c] = LOCAL(IS_SPACE);
	for (u32 c = 32; c < 128; c++)
		scratch->character[c] = LOCAL(IS_NOTHING);
	for (u32 c = 128; c < 256; c++)
		scratch->character[c] = LOCAL(IS_WORD) | LOCAL(IN_WORD);
	for (u32 c = 0; c < 26; c++)
		scratch->character['A' + c] = scratch->character['a' + c] = LOCAL(IS_WORD) | LOCAL(IN_WORD) | (c < 6 ? LOCAL(IS_HEX) : 0);
	for (u32 c = '0'; c <= '9'; c++)
		scratch->character[c] = LOCAL(IS_WORD) | LOCAL(IN_WORD) | LOCAL(IS_HEX);
	scratch->character['_'] = LOCAL(IS_WORD) | LOCAL(IN_WORD);
	scratch->character[' '] = LOCAL(IS_SPACE);
	scratch->character['\n'] = LOCAL(IS_NEWLINE);
	scratch->character['+'] = LOCAL(IS_PLUS);
	scratch->character['"'] = LOCAL(IS_QUOTE);
	scratch->character['\''] = LOCAL(IS_APOSTROPHE);
	scratch->character['('] = LOCAL(IS_PAREN);
	scratch->character['<'] = LOCAL(IS_ANGLE);
	scratch->character['>'] = LOCAL(IS_ANGLE);
	scratch->character['='] = LOCAL(IS_EQUAL);
	scratch->character['-'] = LOCAL(IS_DASH);
	scratch->character['|'] = LOCAL(IS_PIPE);
	scratch->character['&'] = LOCAL(IS_AMPERSAND);
	scratch->character['*'] = LOCAL(IS_STAR);
	scratch->character['/'] = LOCAL(IS_SLASH);
	scratch->character['.'] = LOCAL(IS_DOT);
	scratch->character[','] = LOCAL(IS_COMMA);
	scratch->character[';'] = LOCAL(IS_SEMICOLON);
	scratch->character['@'] = LOCAL(IS_AT);
	scratch->character['#'] = LOCAL(IS_HASH);
	scratch->character[':'] = LOCAL(IS_BARRIER);
	scratch->character['?'] = LOCAL(IS_BARRIER);
	scratch->character['%'] = LOCAL(IS_BARRIER);
	scratch->character['['] = LOCAL(IS_BARRIER);
	scratch->character[']'] = LOCAL(IS_BARRIER);
	scratch->character['{'] = LOCAL(IS_BARRIER);
	scratch->character['}'] = LOCAL(IS_BARRIER);
}

static inline u64 LOCAL(named)(u64 token, u32 name)
{
	return -opaque(LOCAL(bit)(name) >> (token & 63) & 1);
}

/* A token's flag as a mask. */
static inline u64 LOCAL(has)(u64 token, u32 flag)
{
	return -opaque(token / flag & 1);
}

/* One table of patterns: moves the markers, and says which came to an end. */
static inline u64 LOCAL(advance)(u64 *next, u64 here, u64 at, u64 first, u64 optional, u64 repeated, u64 last)
{
	u64 moved = here >> 1 | first;

	moved |= (moved & optional) >> 1;
	moved = (moved | (here & repeated)) & at;
	*next = moved;
	return moved & last;
}

/* Moves all markers over the token. */
static inline void LOCAL(step)(struct pkt *pkt, u64 token)
{
	u64 first = 1ull << LOCAL(FIRST_PLACE), last = 1ull << LOCAL(LAST_PLACE);
	u64 optional = 1ull << LOCAL(OPTIONAL), repeated = 1ull << LOCAL(REPEATED);
	u64 soft = LOCAL(has)(token, LOCAL(SOFT));
	u64 remark = LOCAL(named)(token, 'rema'), end = LOCAL(named)(token, 'end ');
	u64 next, here, strong, wary;

	here = scratch->in_breakout;
	strong = LOCAL(advance)(&next, here, scratch->at_breakout, LOCAL(breakout)(first), LOCAL(breakout)(optional), LOCAL(breakout)(repeated), LOCAL(breakout)(last));
	scratch->in_breakout = next | (here & soft);

	here = scratch->in_statement;
	strong |= LOCAL(advance)(&next, here, scratch->at_statement, LOCAL(statement)(first), LOCAL(statement)(optional), LOCAL(statement)(repeated), LOCAL(statement)(last));
	scratch->in_statement = next | (here & soft);

	here = scratch->in_doubtful;
	wary = scratch->wary | LOCAL(advance)(&next, here, scratch->at_doubtful, LOCAL(doubtful)(first), LOCAL(doubtful)(optional), LOCAL(doubtful)(repeated), LOCAL(doubtful)(last));
	scratch->in_doubtful = next | (here & soft);

	scratch->doubt |= wary;
	scratch->hit |= strong | (wary & scratch->remark & end);
	scratch->wary = wary & ~end;
	scratch->remark = (scratch->remark & soft) | remark;
}

/* The token also goes by this name, where `mask` is all ones. */
static inline void LOCAL(alias)(struct pkt *pkt, u32 name, u64 mask)
{
	u64 t = LOCAL(bit)(name);

	scratch->at_breakout |= LOCAL(breakout)(t) & mask;
	scratch->at_statement |= LOCAL(statement)(t) & mask;
	scratch->at_doubtful |= LOCAL(doubtful)(t) & mask;
}

/* Looks up where the token may stand. */
static inline void LOCAL(recall)(struct pkt *pkt, u64 token)
{
	u64 number = token & 63;

	scratch->at_breakout = scratch->breakout[number];
	scratch->at_statement = scratch->statement[number];
	scratch->at_doubtful = scratch->doubtful[number];
}

/* ---- words: their last eight characters in lower case, with blanks before a short one */

static inline u64 LOCAL(blank)(void)
{
	return 0x2020202020202020;
}

/* Keywords are known without digits: 50000union. */
static inline u64 LOCAL(letters)(u64 word)
{
	u64 keep = ((word & 0x4040404040404040) >> 6) * 0xff;

	return (word & keep) | (LOCAL(blank)() & ~keep);
}

static inline void LOCAL(learn_word)(struct pkt *pkt, u32 k, u64 first, u64 rest, u32 token)
{
	scratch->keywords[k] = first << 32 | rest;
	scratch->tokens[k] = token;
}

/* Sorted by length, then by the alphabet: LOCAL(keyword) halves its way through. */
static inline void LOCAL(learn_words)(struct pkt *pkt)
{
	LOCAL(learn_word)(pkt, 0, '    ', '  by', LOCAL(number)('by  '));
	LOCAL(learn_word)(pkt, 1, '    ', '  if', LOCAL(number)('cond') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 2, '    ', '  in', LOCAL(number)('like'));
	LOCAL(learn_word)(pkt, 3, '    ', '  is', LOCAL(number)('is  '));
	LOCAL(learn_word)(pkt, 4, '    ', '  or', LOCAL(number)('logi'));
	LOCAL(learn_word)(pkt, 5, '    ', ' all', LOCAL(number)('all '));
	LOCAL(learn_word)(pkt, 6, '    ', ' and', LOCAL(number)('logi'));
	LOCAL(learn_word)(pkt, 7, '    ', ' chr', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 8, '    ', ' elt', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 9, '    ', ' hex', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 10, '    ', ' mid', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 11, '    ', ' not', LOCAL(SOFT));
	LOCAL(learn_word)(pkt, 12, '    ', ' ord', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 13, '    ', ' set', LOCAL(number)('set '));
	LOCAL(learn_word)(pkt, 14, '    ', ' xor', LOCAL(number)('logi'));
	LOCAL(learn_word)(pkt, 15, '    ', 'cast', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 16, '    ', 'drop', LOCAL(number)('ddl '));
	LOCAL(learn_word)(pkt, 17, '    ', 'exec', LOCAL(number)('exec'));
	LOCAL(learn_word)(pkt, 18, '    ', 'from', LOCAL(number)('from'));
	LOCAL(learn_word)(pkt, 19, '    ', 'http', LOCAL(number)('end ') | LOCAL(TARGET));
	LOCAL(learn_word)(pkt, 20, '    ', 'into', LOCAL(number)('into'));
	LOCAL(learn_word)(pkt, 21, '    ', 'like', LOCAL(number)('like'));
	LOCAL(learn_word)(pkt, 22, '    ', 'null', LOCAL(number)('null'));
	LOCAL(learn_word)(pkt, 23, '    ', 'true', LOCAL(number)('null'));
	LOCAL(learn_word)(pkt, 24, '   a', 'lter', LOCAL(number)('ddl '));
	LOCAL(learn_word)(pkt, 25, '   a', 'scii', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 26, '   d', 'elay', LOCAL(number)('dela'));
	LOCAL(learn_word)(pkt, 27, '   f', 'alse', LOCAL(number)('null'));
	LOCAL(learn_word)(pkt, 28, '   g', 'roup', LOCAL(number)('orde'));
	LOCAL(learn_word)(pkt, 29, '   o', 'rder', LOCAL(number)('orde'));
	LOCAL(learn_word)(pkt, 30, '   r', 'like', LOCAL(number)('like'));
	LOCAL(learn_word)(pkt, 31, '   s', 'leep', LOCAL(number)('slee') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 32, '   t', 'able', LOCAL(number)('tabl'));
	LOCAL(learn_word)(pkt, 33, '   u', 'nhex', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 34, '   u', 'nion', LOCAL(number)('unio'));
	LOCAL(learn_word)(pkt, 35, '   w', 'here', LOCAL(number)('wher'));
	LOCAL(learn_word)(pkt, 36, '  co', 'ncat', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 37, '  de', 'lete', LOCAL(number)('dele'));
	LOCAL(learn_word)(pkt, 38, '  ex', 'ists', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 39, '  ha', 'ving', LOCAL(number)('logi'));
	LOCAL(learn_word)(pkt, 40, '  if', 'null', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 41, '  in', 'sert', LOCAL(number)('inse'));
	LOCAL(learn_word)(pkt, 42, '  nu', 'llif', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 43, '  re', 'gexp', LOCAL(number)('like'));
	LOCAL(learn_word)(pkt, 44, '  se', 'lect', LOCAL(number)('sele'));
	LOCAL(learn_word)(pkt, 45, '  su', 'bstr', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 46, '  up', 'date', LOCAL(number)('upda'));
	LOCAL(learn_word)(pkt, 47, '  va', 'lues', LOCAL(number)('vals'));
	LOCAL(learn_word)(pkt, 48, ' con', 'vert', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 49, ' dec', 'lare', LOCAL(number)('exec'));
	LOCAL(learn_word)(pkt, 50, ' exe', 'cute', LOCAL(number)('exec'));
	LOCAL(learn_word)(pkt, 51, ' out', 'file', LOCAL(number)('dela'));
	LOCAL(learn_word)(pkt, 52, ' wai', 'tfor', LOCAL(number)('wait'));
	LOCAL(learn_word)(pkt, 53, 'actv', 'alue', LOCAL(number)('stro') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 54, 'cmds', 'hell', LOCAL(number)('shel'));
	LOCAL(learn_word)(pkt, 55, 'data', 'base', LOCAL(number)('tabl'));
	LOCAL(learn_word)(pkt, 56, 'dist', 'inct', LOCAL(number)('all '));
	LOCAL(learn_word)(pkt, 57, 'dump', 'file', LOCAL(number)('dela'));
	LOCAL(learn_word)(pkt, 58, 'ench', 'mark', LOCAL(number)('stro') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 59, 'e\177ma', 'ster', LOCAL(number)('cata'));
	LOCAL(learn_word)(pkt, 60, 'g\177ta', 'bles', LOCAL(number)('cata'));
	LOCAL(learn_word)(pkt, 61, 'l\177ta', 'bles', LOCAL(number)('cata'));
	LOCAL(learn_word)(pkt, 62, 'n\177sc', 'hema', LOCAL(number)('cata'));
	LOCAL(learn_word)(pkt, 63, 'oad\177', 'file', LOCAL(number)('stro') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 64, 'onca', 't\177ws', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 65, 'pdat', 'exml', LOCAL(number)('stro') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 66, 'pg\177s', 'leep', LOCAL(number)('stro') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 67, 'p\177co', 'ncat', LOCAL(number)('call') | LOCAL(CALLED));
	LOCAL(learn_word)(pkt, 68, 'shut', 'down', LOCAL(number)('exec'));
	LOCAL(learn_word)(pkt, 69, 'sobj', 'ects', LOCAL(number)('cata'));
	LOCAL(learn_word)(pkt, 70, 'trun', 'cate', LOCAL(number)('ddl '));
	LOCAL(learn_word)(pkt, 71, 'ubst', 'ring', LOCAL(number)('call') | LOCAL(CALLED));
	for (u32 k = 72; k < LOCAL(KEYWORDS); k++) {
		scratch->keywords[k] = ~0ull;
		scratch->tokens[k] = 0;
	}
}

/* The token that a word is; a search by halves, without a branch. */
static inline u32 LOCAL(keyword)(struct pkt *pkt, u64 letters)
{
	u64 k = 0;

	for (u32 bit = 7; bit--;)
		k |= (LOCAL(below)(letters, scratch->keywords[k | 1 << bit]) ^ 1) << bit;
	return LOCAL(choose)(LOCAL(equal)(scratch->keywords[k], letters), scratch->tokens[k], LOCAL(number)('word') | LOCAL(PLAIN));
}

/* The word of a lexeme, if there is one, as a token. */
static inline void LOCAL(word)(struct pkt *pkt, u64 word, u64 kind)
{
	u64 last = scratch->last, none = LOCAL(equal)(word, LOCAL(blank)());
	u64 number = LOCAL(equal)(word & 0xc0c0c0c0c0c0c0c0, 0);
	u64 same = LOCAL(equal)(word, scratch->left);
	u64 quoted = LOCAL(is)(last, LOCAL(IS_QUOTE), LOCAL(IS_APOSTROPHE));
	u64 ends_quoted = LOCAL(is)(kind, LOCAL(IS_QUOTE), LOCAL(IS_APOSTROPHE));
	u64 in_paren = LOCAL(is)(last, LOCAL(IS_PAREN), LOCAL(IS_PAREN));
	u64 token = LOCAL(keyword)(pkt, LOCAL(letters)(word));
	u64 unfit, passed, hard, like;

	unfit = LOCAL(has)(token, LOCAL(CALLED)) & ~LOCAL(is)(kind, LOCAL(IS_PAREN), LOCAL(IS_PAREN));
	unfit |= LOCAL(has)(token, LOCAL(TARGET)) & ~LOCAL(is)(kind, LOCAL(IS_SLASH), LOCAL(IS_SLASH));
	token = LOCAL(choose)(unfit, LOCAL(number)('word') | LOCAL(PLAIN), token);
	token = LOCAL(choose)(number, LOCAL(number)('numb') | LOCAL(PLAIN), token);
	/* A qualifier, and a word that opens a comment, are passed over. */
	passed = LOCAL(is)(kind, LOCAL(IS_DOT), LOCAL(IS_DOT)) | LOCAL(is)(last, LOCAL(IS_OPEN), LOCAL(IS_OPEN));
	token = LOCAL(choose)(none | (passed & LOCAL(has)(token, LOCAL(PLAIN))), LOCAL(SOFT), token);
	LOCAL(recall)(pkt, token);

	hard = ~LOCAL(has)(token, LOCAL(SOFT));
	LOCAL(alias)(pkt, 'frst', number & hard & ~in_paren & ~LOCAL(is)(last, LOCAL(IS_WORD), LOCAL(IS_ANGLE)));
	LOCAL(alias)(pkt, 'pare', hard & in_paren);
	LOCAL(alias)(pkt, 'same', hard & same);
	LOCAL(alias)(pkt, 'saml', hard & same & (number | quoted));
	LOCAL(alias)(pkt, 'subs', in_paren & LOCAL(named)(token, 'sele'));
	LOCAL(alias)(pkt, 'bare', ~(quoted & ends_quoted) & LOCAL(named)(token, 'logi'));
	LOCAL(step)(pkt, token);

	like = LOCAL(named)(token, 'like');
	scratch->left = LOCAL(choose)(like, scratch->operand, scratch->left);
	scratch->operand = LOCAL(choose)(none, scratch->operand, word);
	scratch->last = LOCAL(choose)(none, last, LOCAL(IS_WORD));
}

/* ---- separators: some have a meaning only in pairs */

static inline void LOCAL(learn_separators)(struct pkt *pkt)
{
	for (u32 kind = 0; kind < 32; kind++)
		scratch->alone[kind] = scratch->pair[kind] = LOCAL(SOFT);
	scratch->alone[LOCAL(IS_FIELD)] = scratch->pair[LOCAL(IS_FIELD)] = LOCAL(number)('end ');
	scratch->alone[LOCAL(IS_QUOTE)] = scratch->pair[LOCAL(IS_QUOTE)] = LOCAL(number)('quot');
	scratch->alone[LOCAL(IS_APOSTROPHE)] = scratch->pair[LOCAL(IS_APOSTROPHE)] = LOCAL(number)('quot');
	scratch->alone[LOCAL(IS_COMMA)] = scratch->pair[LOCAL(IS_COMMA)] = LOCAL(number)('comm');
	scratch->alone[LOCAL(IS_SEMICOLON)] = scratch->pair[LOCAL(IS_SEMICOLON)] = LOCAL(number)('semi');
	scratch->alone[LOCAL(IS_AT)] = scratch->pair[LOCAL(IS_AT)] = LOCAL(number)('at  ');
	scratch->alone[LOCAL(IS_HASH)] = scratch->pair[LOCAL(IS_HASH)] = LOCAL(number)('rema') | LOCAL(SOFT);
	scratch->alone[LOCAL(IS_BARRIER)] = scratch->pair[LOCAL(IS_BARRIER)] = LOCAL(number)('none');
	scratch->alone[LOCAL(IS_EQUAL)] = scratch->alone[LOCAL(IS_ANGLE)] = LOCAL(number)('comp');
	scratch->pair[LOCAL(IS_DASH)] = LOCAL(number)('rema') | LOCAL(SOFT);
	scratch->pair[LOCAL(IS_PIPE)] = scratch->pair[LOCAL(IS_AMPERSAND)] = LOCAL(number)('logi');
	scratch->alone[LOCAL(IS_STAR)] = LOCAL(number)('star') | LOCAL(SOFT);
	scratch->alone[LOCAL(IS_SLASH)] = scratch->pair[LOCAL(IS_SLASH)] = LOCAL(number)('none');
}

/* What ends a lexeme, unless it is a blank, as a token. */
static inline void LOCAL(separator)(struct pkt *pkt, u64 word, u64 kind)
{
	u64 last = scratch->last;
	u64 compares = LOCAL(is)(kind, LOCAL(IS_EQUAL), LOCAL(IS_ANGLE));
	u64 star = LOCAL(is)(kind, LOCAL(IS_STAR), LOCAL(IS_STAR)), slash = LOCAL(is)(kind, LOCAL(IS_SLASH), LOCAL(IS_SLASH));
	u64 opens = star & LOCAL(is)(last, LOCAL(IS_SLASH), LOCAL(IS_SLASH));
	u64 closes = slash & LOCAL(is)(last, LOCAL(IS_STAR), LOCAL(IS_STAR));
	u64 elides = LOCAL(is)(kind, LOCAL(IS_APOSTROPHE), LOCAL(IS_APOSTROPHE)) & LOCAL(equal)(word | 8, LOCAL(blank)() ^ ' ' ^ 'l');
	u64 field = LOCAL(is)(kind, LOCAL(IS_FIELD), LOCAL(IS_FIELD));
	u64 paired = LOCAL(equal)(kind, last) | (compares & LOCAL(is)(last, LOCAL(IS_EQUAL), LOCAL(IS_ANGLE))) |
		     (star & LOCAL(is)(last, LOCAL(IS_OPEN), LOCAL(IS_OPEN)));
	u64 token = LOCAL(choose)(paired, scratch->pair[kind], scratch->alone[kind]);

	token = LOCAL(choose)(opens, LOCAL(number)('rema') | LOCAL(SOFT), token);
	token = LOCAL(choose)(closes | elides, LOCAL(SOFT), token);	/* elided: l'or, d'or */
	scratch->left = LOCAL(choose)(compares, scratch->operand, scratch->left) & ~field;
	scratch->operand &= ~field;

	/* A slash ends all patterns, unless a star shows that it opened a comment. */
	scratch->in_breakout = LOCAL(choose)(opens, scratch->held_breakout, scratch->in_breakout);
	scratch->in_statement = LOCAL(choose)(opens, scratch->held_statement, scratch->in_statement);
	scratch->in_doubtful = LOCAL(choose)(opens, scratch->held_doubtful, scratch->in_doubtful);
	scratch->held_breakout = scratch->in_breakout;
	scratch->held_statement = scratch->in_statement;
	scratch->held_doubtful = scratch->in_doubtful;

	kind = LOCAL(choose)(opens, LOCAL(IS_OPEN), kind);
	kind = LOCAL(choose)(closes, LOCAL(IS_CLOSE), kind);
	kind = LOCAL(choose)(elides, LOCAL(IS_NOTHING), kind);
	scratch->last = LOCAL(choose)(LOCAL(is)(kind, LOCAL(IS_SPACE), LOCAL(IS_SPACE)), last, kind);
	LOCAL(recall)(pkt, token);
	LOCAL(step)(pkt, token);
}

/* Without a branch but the loop's own, or the verifier would walk through most of it again for each. */
static inline void LOCAL(match)(struct pkt *pkt)
{
	for (u32 k = 0; k < LOCAL(LEXEMES); k++) {
		if (k >= scratch->lexemes)
			break;
		LOCAL(word)(pkt, scratch->words[k], scratch->kinds[k] & 31);
		LOCAL(separator)(pkt, scratch->words[k], scratch->kinds[k] & 31);
	}
}

/* ---- characters */

/* What characters are as they stand, and what escaped ones are. */
static inline void LOCAL(learn_escapes)(struct pkt *pkt)
{
	for (u32 kind = 0; kind < 32; kind++)
		scratch->raw[kind] = scratch->escaped[kind] = kind;
	scratch->raw[LOCAL(IS_NEWLINE)] = scratch->raw[LOCAL(IS_AMPERSAND)] = LOCAL(IS_FIELD);
	scratch->raw[LOCAL(IS_PLUS)] = LOCAL(IS_SPACE);
	scratch->escaped[LOCAL(IS_NEWLINE)] = LOCAL(IS_SPACE);
	scratch->escaped[LOCAL(IS_PLUS)] = LOCAL(IS_NOTHING);
}

/* Takes any byte that is not simply a word's next character. */
static inline void LOCAL(decode)(struct pkt *pkt, u64 byte)
{
	u64 hex = LOCAL(has)(scratch->character[byte], LOCAL(IS_HEX)), digit = (byte & 15) + (byte >> 6 & 1) * 9;
	u64 escape = opaque(scratch->plain) - 1, second = ~LOCAL(has)(scratch->high, LOCAL(NO_DIGIT));
	u64 first = escape & hex & ~second, done = escape & hex & second;
	u64 c = LOCAL(choose)(done, (scratch->high << 4 | digit) & 255, byte);
	u64 begins = ~first & LOCAL(equal)(c, '%');	/* an escaped percent sign too begins an escape */
	u64 kind = scratch->character[c], in_word = LOCAL(has)(kind, LOCAL(IN_WORD)), whole = ~(first | begins);
	u64 word = scratch->word, none = LOCAL(equal)(word, LOCAL(blank)());
	u64 k = scratch->lexemes & (LOCAL(LEXEMES) - 1), ends;

	kind = LOCAL(choose)(done, scratch->escaped[kind & 31], scratch->raw[kind & 31]);
	ends = whole & ~in_word & ~(none & LOCAL(is)(kind, LOCAL(IS_SPACE), LOCAL(IS_SPACE)));
	scratch->words[k] = word;
	scratch->kinds[k] = kind;
	scratch->lexemes -= ends;
	word = LOCAL(choose)(whole & in_word, word << 8 | c | 0x20, word);
	scratch->word = LOCAL(choose)(ends, LOCAL(blank)(), word);
	scratch->high = LOCAL(choose)(first, digit, LOCAL(NO_DIGIT));
	scratch->plain = whole & 1;
	scratch->lines -= LOCAL(equal)(byte, '\n');
}

static inline void LOCAL(read)(struct pkt *pkt)
{
	for (u32 i = 0; i < LOCAL(BYTES); i++) {
		int byte = payload_byte(pkt, i);

		if (byte < 0)
			break;
		if (opaque(scratch->character[byte & 255] / LOCAL(IN_WORD) & scratch->plain) == 1) {
			scratch->word = scratch->word << 8 | byte | 0x20;
			continue;
		}
		LOCAL(decode)(pkt, byte & 255);
		if (scratch->lexemes >= LOCAL(LEXEMES))
			break;
	}
}

/* The end of the payload ends a field, if it was reached. */
static inline void LOCAL(end)(struct pkt *pkt)
{
	u64 k = scratch->lexemes;

	if (k >= LOCAL(LEXEMES))
		scratch->whole = 0;
	if (!scratch->whole)
		return;
	k &= LOCAL(LEXEMES) - 1;
	scratch->words[k] = scratch->word;
	scratch->kinds[k] = LOCAL(IS_FIELD);
	scratch->lexemes = k + 1;
}

/* Whether the first word begins a request whose first line has not ended. */
static inline int LOCAL(is_open)(struct pkt *pkt)
{
	if (scratch->lines || !scratch->lexemes)
		return 0;
	switch (LOCAL(letters)(scratch->words[0])) {
	case (u64)'    ' << 32 | ' get':
	case (u64)'    ' << 32 | ' put':
	case (u64)'    ' << 32 | 'post':
	case (u64)'    ' << 32 | 'head':
	case (u64)'   t' << 32 | 'race':
	case (u64)'   p' << 32 | 'atch':
	case (u64)' opt' << 32 | 'ions':
	case (u64)' con' << 32 | 'nect':
	case (u64)'  de' << 32 | 'lete':
		return 1;
	}
	return 0;
}

static inline void LOCAL(begin)(struct pkt *pkt)
{
	LOCAL(learn_characters)(pkt);
	LOCAL(learn_escapes)(pkt);
	LOCAL(learn_words)(pkt);
	LOCAL(learn_separators)(pkt);
	LOCAL(learn_places)(pkt);
	scratch->whole = pkt->m.pl_len <= LOCAL(BYTES);
	scratch->word = scratch->words[0] = LOCAL(blank)();
	scratch->lexemes = 0;
	scratch->lines = 0;
	scratch->high = LOCAL(NO_DIGIT);
	scratch->plain = 1;
	scratch->last = LOCAL(IS_NOTHING);
	scratch->operand = scratch->left = 0;
	scratch->in_breakout = scratch->in_statement = scratch->in_doubtful = 0;
	scratch->held_breakout = scratch->held_statement = scratch->held_doubtful = 0;
	scratch->remark = 0;
	scratch->hit = scratch->wary = scratch->doubt = 0;
}

MNF(struct pkt *pkt)
{
	u64 first = 1ull << LOCAL(FIRST_PLACE), begun;

	if (pkt->m.http != HTTP_REQUEST || !pkt->m.pl_len)
		return NEXT;

	settle(pkt);
	LOCAL(begin)(pkt);
	LOCAL(read)(pkt);
	LOCAL(end)(pkt);
	LOCAL(match)(pkt);

	if (scratch->hit)
		return DROP(sql_injection);
	begun = scratch->in_breakout & ~LOCAL(breakout)(first);
	begun |= scratch->in_statement & ~LOCAL(statement)(first);
	begun |= scratch->in_doubtful & ~LOCAL(doubtful)(first);
	if (!(begun && !scratch->whole) && !scratch->doubt && !LOCAL(is_open)(pkt))
		return NEXT;
	return cfg.on_unsure == ON_UNSURE_DROP ? DROP(suspicious) : TO(unsure);
}
