/*
 * From the PVH entry (32 bits, no paging, EBX: where hvm_start_info is) to C in 64 bits and ring 3.
 *
 * Ring 3, since some clouds' KVM runs ring 3 natively and interprets ring 0, and has no SSE there. What ring 0 keeps: the tables of the
 * processor, a handler that does the `hlt`, `in` and `out` of ring 3 (they fault), and a wake-up for interrupts. None of it uses SSE.
 *
 * The first 2 MiB are mapped page by page: code can't be written, data can't be executed, the tables can't be reached from ring 3, and
 * below the stack is a hole. Above, memory and devices, 4 GiB in all, are mapped one to one, not executable.
 */
	.set CODE0, 0x08
	.set DATA0, 0x10
	.set CODE3, 0x18 | 3
	.set DATA3, 0x20 | 3
	.set TASK, 0x28

	.set PRESENT, 1
	.set WRITE, 2
	.set USER, 4
	.set LARGE, 0x80
	.set NX_HIGH, 0x80000000	/* in the upper half of an entry */

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.section .ring0.text, "ax"
	.code32
	.globl _start
_start:
	cli
	cld
	mov $ring0_stack_top, %esp
	mov %ebx, %ebp			/* start_info */

	/* The first 2 MiB: pages of the kind that `kinds` says. */
	mov $kinds, %esi
	mov $low_pages, %edi
	xor %ebx, %ebx
1:	cmp (%esi), %ebx
	jb 2f
	add $12, %esi
	jmp 1b
2:	mov 4(%esi), %eax
	or %ebx, %eax
	mov %eax, (%edi)
	mov 8(%esi), %eax
	mov %eax, 4(%edi)
	add $8, %edi
	add $0x1000, %ebx
	cmp $0x200000, %ebx
	jb 1b

	/* The rest of 4 GiB: large pages. */
	mov $directories, %edi
	mov $(PRESENT | WRITE | USER | LARGE), %eax
	mov $2048, %ecx
3:	mov %eax, (%edi)
	movl $NX_HIGH, 4(%edi)
	add $0x200000, %eax
	add $8, %edi
	loop 3b
	movl $(low_pages + PRESENT + WRITE + USER), directories
	movl $0, directories + 4

	mov $pointers, %edi
	mov $(directories + PRESENT + WRITE + USER), %eax
	mov $4, %ecx
4:	mov %eax, (%edi)
	add $0x1000, %eax
	add $8, %edi
	loop 4b
	movl $(pointers + PRESENT + WRITE + USER), top_level

	mov %cr4, %eax
	or $0x620, %eax			/* PAE, OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $top_level, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER */
	rdmsr
	or $0x900, %eax			/* LME, NXE */
	wrmsr
	mov %cr0, %eax
	and $~4, %eax			/* no EM */
	or $0x80010003, %eax		/* PG, WP, MP, PE */
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $CODE0, $long_mode

	.code64
long_mode:
	mov $DATA0, %eax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $ring0_stack_top, %esp

	mov $task, %eax			/* the task's descriptor, and the stack for faults in ring 3 */
	mov %ax, gdt + TASK + 2
	shr $16, %eax
	mov %al, gdt + TASK + 4
	mov %ah, gdt + TASK + 7
	movl $ring0_stack_top, task + 4
	mov $TASK, %eax
	ltr %ax

	mov $faults, %ebx
	xor %ecx, %ecx
	mov $32, %edx
	call gates
	mov $protection_fault, %ebx
	mov $13, %ecx
	mov $1, %edx
	call gates
	mov $wake_up, %ebx
	mov $0x40, %ecx
	mov $1, %edx
	call gates
	mov $wake_up, %ebx
	mov $0xff, %ecx
	mov $1, %edx
	call gates
	lidt idt_pointer

	rdtsc				/* %fs:0x28 is the stack protector's canary; its first byte stays zero */
	shl $32, %rdx
	or %rdx, %rax
	shl $8, %rax
	mov %rax, thread + 0x28
	mov $0xc0000100, %ecx		/* FS base */
	mov $thread, %eax
	xor %edx, %edx
	wrmsr

	mov %ebp, %edi			/* the argument of main */
	pushq $DATA3
	pushq $stack_top - 8
	pushq $0x3002			/* IOPL 3, interrupts off: they are let in by `hlt` only */
	pushq $CODE3
	pushq $ring3
	iretq

/* EDX gates from number ECX on, to handlers at EBX that are 16 bytes apart. */
gates:
	shl $4, %ecx
	add $idt, %ecx
1:	mov %ebx, %eax
	and $0xffff, %eax
	or $(CODE0 << 16), %eax
	mov %eax, (%rcx)
	mov %ebx, %eax
	and $0xffff0000, %eax
	or $0x8e00, %eax
	mov %eax, 4(%rcx)
	add $16, %ecx
	add $16, %ebx
	dec %edx
	jnz 1b
	ret

/* A general protection fault in ring 3 at one of these instructions: does it. Anything else is a fault. */
	.align 16
protection_fault:
	testb $3, 16(%rsp)
	jz 9f
	push %rbx
	mov 16(%rsp), %rbx
	movzbl (%rbx), %ebx
	cmp $0xf4, %bl
	je 1f
	cmp $0xee, %bl
	je 2f
	cmp $0xef, %bl
	je 3f
	cmp $0xec, %bl
	je 4f
	cmp $0xed, %bl
	je 5f
	pop %rbx
9:	push $13
	jmp fault
1:	sti
	hlt
	cli
	jmp 6f
2:	out %al, %dx
	jmp 6f
3:	out %eax, %dx
	jmp 6f
4:	in %dx, %al
	jmp 6f
5:	in %dx, %eax
6:	incq 16(%rsp)
	pop %rbx
	add $8, %rsp
	iretq

	.align 16
faults:
	.set number, 0
	.rept 32
	.align 16
	.if !(number == 8 || (number >= 10 && number <= 14) || number == 17)
	push $0				/* this one has no error code of its own */
	.endif
	push $number
	jmp fault
	.set number, number + 1
	.endr
fault:
	mov %rsp, %rdi			/* number, error code, instruction */
	and $-16, %rsp
	call trap

	.align 16
wake_up:
	push %rax
	mov $0xfee000b0, %eax		/* the local APIC's end of interrupt */
	movl $0, (%rax)
	pop %rax
	iretq

	.text
ring3:
	call guest_main
	ud2

	.section .ring0.data, "aw"
	.align 8
gdt:	.quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff, 0x00affa000000ffff, 0x00cff2000000ffff
	.quad 0x0000890000000067, 0
gdt_pointer:
	.word . - gdt - 1
	.long gdt
	.align 8
idt_pointer:
	.word 4095
	.quad idt
	.align 4
kinds:	/* up to this address: lower half of the entries, upper half */
	.long 0x1000, 0, 0		/* null leads nowhere */
	.long __ring0_text, PRESENT | WRITE | USER, NX_HIGH
	.long __text, PRESENT, 0
	.long __rodata, PRESENT | USER, 0
	.long __ring0_data, PRESENT | USER, NX_HIGH
	.long __data, PRESENT | WRITE, NX_HIGH
	.long __ring0_bss, PRESENT | WRITE | USER, NX_HIGH
	.long stack_hole, PRESENT | WRITE, NX_HIGH
	.long stack_bottom, 0, 0
	.long 0xffffffff, PRESENT | WRITE | USER, NX_HIGH

	.section .ring0.bss, "aw", @nobits
	.align 4096
top_level:	.skip 4096
pointers:	.skip 4096
directories:	.skip 4 * 4096
low_pages:	.skip 4096
idt:		.skip 4096
task:		.skip 104
	.align 16
		.skip 4096
ring0_stack_top:
	.align 4096
	.globl stack_top
stack_hole:	.skip 4096
stack_bottom:	.skip 65536
stack_top:
thread:		.skip 64
