"""How fast is the dense CRF, and how near to the exact sum?"""
