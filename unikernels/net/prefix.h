/* Prefixes in 16 bytes; IPv4 is ::ffff:a.b.c.d. In the configuration: 32 hex digits, '/', bits. */
#pragma once

#include "mnf.h"

bool prefix_read(const char *text, u8 bytes[16], u8 *bits);
bool prefix_holds(const u8 bytes[16], u8 bits, const u8 address[16]);
