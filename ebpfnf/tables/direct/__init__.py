"""Tables that programs address directly: one array value that `ld_imm64` points into, no helper call on the way.

What an operator fills lies there twice: a header, then two halves. A change builds the whole table anew in the half that packets do not
look at, then one 64-bit word in the header turns them to it; the other half is written again only when every packet that may have seen
it is through. Counters have a slot for each CPU, connections are sets of entries that CPUs claim by compare-and-swap.
"""
