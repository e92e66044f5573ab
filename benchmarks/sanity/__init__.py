"""Do maps change when the network forgets?"""
