"""The host side: short-lived, transactional, trusts the kernel. Standard library only, so that it runs on a bare host.

observe ─▶ plan ─▶ apply (journal ▸ load aside ▸ flip one slot ▸ grace ▸ retire)
"""
