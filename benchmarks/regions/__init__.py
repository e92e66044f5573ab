"""Which way of telling a network the region is best?"""
