"""Generated C to BPF bytecode: bcc as a compiler in a child process. Needs no root, no kernel, no kernel headers."""

from ebpfnf.compile.compiler import ahead, compile_source

__all__ = ["ahead", "compile_source"]
