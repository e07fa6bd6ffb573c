"""Ground truth as others write it: one module for each form of file, frames and pixels converted at the border."""
