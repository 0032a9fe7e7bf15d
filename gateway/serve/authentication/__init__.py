"""Authentication: who asks, and what they may ask for. A request comes in, a caller or a refusal goes out.

role          what there is to be allowed
caller        who it is that asks
gate          request -> caller: what every request passes
local         whether a program on this machine asks for itself
known_tokens  token -> whose it is
token_file    tokens that people made, of which a file has the hashes
first_token   the one that is there before anybody made one
tokens        how one looks, and how it is told from others
refusal       401 and 403
opening       configuration -> gate, when serve starts
"""
