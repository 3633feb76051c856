/* The user-space header wants the C library's <sys/socket.h>, which a bare machine lacks. */
#ifndef _LINUX_IF_H
#define _LINUX_IF_H
#define IFNAMSIZ 16
#endif
