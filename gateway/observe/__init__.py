"""PROCESS: records of a tap come in, the introspection service goes out (design 2).

link -> translate -> gateway.model -> introspection, with Actions from the CAS added on the way.
"""
