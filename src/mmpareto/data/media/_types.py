"""Types of files that are read, and the ends of their names."""

FILES = {
    "image": ".jpg .jpeg .jfif .png .bmp .gif .webp .avif .tif .tiff .ppm .pgm",
    "audio": ".wav .flac .ogg .oga .opus .mp3 .m4a .aac .aif .aiff",
    "video": ".mp4 .avi .mkv .mov .webm .flv .mpg .mpeg .m4v .wmv",
    "array": ".npy",
}
"""Types of files, and the ends of their names."""

FOREIGN = {
    "HEIC": ".heic .heif",
    "DICOM": ".dcm .dicom",
    "NIfTI": ".nii .nii.gz",
    "PDF": ".pdf",
    "raw camera": ".cr2 .nef .arw .dng",
}
"""Formats that are not read, and the ends of their files."""
