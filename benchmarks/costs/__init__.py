"""What does an explanation cost?"""
