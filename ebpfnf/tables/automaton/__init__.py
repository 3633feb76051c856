"""The table kind `automaton`: words and patterns of words, compiled to one machine that looks at a request's text byte by byte.

    raw byte ─ reader ─▶ character's class ─ lexer ─▶ tokens ─ grammar ─▶ rank

Each of the three is a table of transitions, so a step is a few loads and no decision: the verifier goes through a payload in a straight
line. `grammar` reads the lines of an operator, `reader` decodes URLs, `lexer` finds words and symbols, `patterns` is the machine over
tokens, `sieve` passes over lines that need not be read, `blob` lays them out for the data plane.
"""
