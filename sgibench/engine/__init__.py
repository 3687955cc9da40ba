"""What is done: servers served, load ordered, trials made of what was seen. It decides nothing and judges nothing.

What is measured, in which order and how often comes from `bench` as a plan; what the figures mean is for `stats` and
`audit`. Locust and gevent live at the other end of the line that `orders` holds.
"""
