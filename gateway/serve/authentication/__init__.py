"""Authentication: who asks, and what they may ask for.

role    what there is to be allowed
caller  who it is that asks
"""
