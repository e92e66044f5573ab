"""How much memory do large photos and large annotation files take?"""
