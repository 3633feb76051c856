#include "prefix.h"

static u32 digit(char c)
{
	if (c >= '0' && c <= '9')
		return (u32)(c - '0');
	return c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10 : 16;
}

bool prefix_read(const char *text, u8 bytes[16], u8 *bits)
{
	u32 value = 0, i;

	for (i = 0; i < 16; i++, text += 2) {
		if (digit(text[0]) > 15 || digit(text[1]) > 15)
			return false;
		bytes[i] = (u8)(digit(text[0]) << 4 | digit(text[1]));
	}
	if (*text++ != '/')
		return false;
	for (i = 0; digit(*text) < 10; i++, text++)
		if ((value = value * 10 + digit(*text)) > 128)
			return false;
	*bits = (u8)value;
	return i && !*text;
}

bool prefix_holds(const u8 bytes[16], u8 bits, const u8 address[16])
{
	u32 whole = bits / 8, rest = bits % 8;

	return !memcmp(bytes, address, whole) && (!rest || !((bytes[whole] ^ address[whole]) >> (8 - rest)));
}
