"""Does erasing find more of an object than one classifier does?"""
