"""Does pixel attention find the pixels that carry the answer?"""
