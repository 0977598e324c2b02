"""`ssljax check`: what a data set is like, and what is wrong with it, before anything is trained on it.

given.py     what a path names: images with splits and labels
look.py      one image: its header, its hash, a small picture; light, for the processes that decode
scan.py      all images, each read once
measures.py  brightness, sharpness and border of small pictures
doubles.py   groups of copies: the same file, the same pixels, near ones
told.py      whether labels follow something trivial
noise.py     labels that a trained model contradicts (confident learning)
findings.py  what of all that to report, most important first, and what to do about it
record.py    check.json
page.py      check.html; tiles.py its pictures
whole.py     all of it
"""
