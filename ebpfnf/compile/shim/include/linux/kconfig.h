/* bcc asks whether this file exists, and nothing else of a kernel's configuration. */
#ifndef EBPFNF_KCONFIG_H
#define EBPFNF_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#endif
