"""How well do maps find the object, and what spoils or mends it?"""
