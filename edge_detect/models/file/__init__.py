"""What a model file says about itself, read without a runtime.

flatbuffer   tables of a FlatBuffer, every access bounded
graph        tensors, operators and metadata of a TFLite file
operators    names of the built-in operators, options of custom ones
archive      files in the zip behind a model
metadata     TFLite metadata: labels, normalization, thresholds, anchors
vendors      what Ultralytics and Edge Impulse write beside and behind their models
labels       lists of labels in all the forms that people keep them in
foreign      what a file is that is no TFLite model
"""
