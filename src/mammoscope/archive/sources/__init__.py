"""Where the files of an archive come from: folders, globs, manifests and object stores, listed as they are needed."""
