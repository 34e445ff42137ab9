"""The pages that users see: rendered here as HTML, with small scripts and no file from another host."""
