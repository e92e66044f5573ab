"""Do distinct class saliency maps tell classes apart?"""
