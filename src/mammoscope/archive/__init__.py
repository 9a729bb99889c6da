"""Results of millions of images as Parquet datasets: resumable, each image once. Needs the extra ``archive``."""
