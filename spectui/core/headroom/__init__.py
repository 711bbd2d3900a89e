"""What a better choice of K, a better drafter or cheaper steps would give, estimated from a lane's steps.

`headroom` gives the whole answer; the other modules are what it is made of. NumPy is imported here.
"""
