"""How much of an image, or of an explanation, does a quadtree save?"""
