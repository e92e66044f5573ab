"""How much of the object does a mask made of a map cover?"""
