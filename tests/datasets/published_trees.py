"""Tiny downloads in the layouts that collections publish: some images of 200 x 160 pixels, and their tables."""

from __future__ import annotations

import json
import plistlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cbis_download import Download, ellipse, film, write_dicom
from numpy.typing import NDArray
from openpyxl import Workbook
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

ROWS, COLUMNS = 200, 160
MASS = (40, 60, 30, 50)  # x, y, width, height


def picture(path: Path, seed: int = 0, pixels: NDArray[Any] | None = None) -> Path:
    """An image file of the kind that its name says; 8 bits except as PGM and PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = film(seed, ROWS, COLUMNS) if pixels is None else pixels
    if path.suffix.lower() in (".jpg", ".jpeg") and shown.dtype == np.uint16:
        shown = (shown >> 8).astype(np.uint8)
    assert cv2.imwrite(str(path), shown)
    return path


def mask() -> NDArray[np.uint8]:
    """White on an ellipse in the box ``MASS``."""
    return ellipse(MASS, ROWS, COLUMNS)


def dicom(path: Path, patient: str, side: str = "L", view: str = "CC", seed: int = 0, **changes: Any) -> Path:
    """A mammogram as a detector sends it."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = {"CC": "399162004", "MLO": "399368009"}[view], "SCT"
    code.CodeMeaning = view
    stated: dict[str, Any] = {
        "PatientID": patient, "ImageLaterality": side, "ViewCodeSequence": Sequence([code]),
        "PixelSpacing": [0.07, 0.07], "PatientOrientation": [], "SeriesDescription": "", "BitsStored": 12,
        "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_dicom(path, film(seed, ROWS, COLUMNS) >> 4, **{**stated, **changes})


def workbook(path: Path, rows: list[list[Any]], sheet: str = "Sheet1") -> Path:
    book = Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def old_workbook(path: Path, rows: list[list[str | float]]) -> Path:
    """A workbook of Excel 2 (BIFF2), the oldest kind of ``.xls``: a stream of records without a container."""
    records = struct.pack("<HHHH", 0x0009, 4, 0x0002, 0x0010)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            place = struct.pack("<HH3x", row, column)
            if isinstance(cell, str):
                body, kind = place + bytes([len(cell)]) + cell.encode("latin-1"), 0x0004
            else:
                body, kind = place + struct.pack("<d", cell), 0x0003
            records += struct.pack("<HH", kind, len(body)) + body
    path.write_bytes(records + struct.pack("<HH", 0x000A, 0))
    return path


def rois(path: Path, *outlines: tuple[str, list[tuple[float, float]]]) -> None:
    """A property list as OsiriX writes it."""
    listed = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": [f"({x:f}, {y:f})" for x, y in points]}
        for name, points in outlines
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(plistlib.dumps({"Images": [{"ImageIndex": 0, "NumberOfROIs": len(listed), "ROIs": listed}]}))


def square(box: tuple[int, int, int, int] = MASS) -> list[tuple[float, float]]:
    """The corners of a box."""
    x, y, width, height = box
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


_INBREAST = [
    ["Patient ID", "Patient age", "Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads"],
    ["removed", "removed", "L", "CC", "201001", 20586908.0, 3.0, "4a"],
    ["removed", "removed", "L", "MLO", "201001", 20586934.0, 3.0, 1.0],
    ["removed", "removed", "R", "CC", "201001", 20586960.0, " ", 2.0],
]


def inbreast(root: Path, table: str = "csv") -> Path:
    release = root / "INbreast Release 1.0"
    for number, name in enumerate(
        ("20586908_6c613a14b80a8591_MG_L_CC_ANON", "20586934_6c613a14b80a8591_MG_L_ML_ANON",
         "20586960_6c613a14b80a8592_MG_R_CC_ANON")
    ):  # fmt: skip
        dicom(release / f"AllDICOMs/{name}.dcm", "removed", seed=number)
    rois(
        release / "AllXML/20586908.xml",
        ("Mass", square()), ("Cluster", square((100, 20, 20, 10))), ("Calcification", [(9.0, 9.0)]),
        ("Unnamed", square((1, 1, 9, 9))),
    )  # fmt: skip
    rois(release / "AllXML/20586960.xml", ("Calcification", [(30.0, 40.0)]))
    if table == "xls":
        old_workbook(release / "INbreast.xls", _INBREAST)
    else:
        text = "\n".join(
            ";".join(str(int(cell)) if isinstance(cell, float) else str(cell) for cell in row) for row in _INBREAST
        )
        (release / "INbreast.csv").write_text(text + "\n")
    return root


def mini_mias(root: Path) -> Path:
    for number in range(1, 6):
        picture(root / f"mdb{number:03}.pgm", number, (film(number, ROWS, ROWS) >> 8).astype(np.uint8))
    (root / "Info.txt").write_text(
        "1st column: MIAS database reference number.\n"
        "mdb001 G CIRC B 55 120 20\nmdb002 G NORM\nmdb003 D CALC M *NOTE 3*\n"
        "mdb004 F SPIC M 100 60 15\nmdb004 F ASYM B 60 150 10 \n"
    )
    (root / "Licence.txt").write_text("mdb001 G is not a line of the list\n")
    return root


def mias(root: Path) -> Path:
    picture(root / "mdb001lm.pgm", 1)
    picture(root / "mdb002rm.pgm", 2)
    (root / "Info.txt").write_text("mdb001lm G CIRC M 535 425 197\nmdb002rm G NORM\n")
    return root


_VINDR_ROWS = (  # study, image, side, view, BI-RADS, density, categories, finding's BI-RADS, box, split
    ("s1", "a", "L", "CC", "BI-RADS 4", "DENSITY C", "['Mass']", "BI-RADS 4", MASS, "training"),
    ("s1", "a", "L", "CC", "BI-RADS 4", "DENSITY C", "['Suspicious Calcification', 'Focal Asymmetry']", "BI-RADS 3",
     (100, 20, 20, 10), "training"),
    ("s1", "b", "R", "CC", "BI-RADS 1", "DENSITY C", "['No Finding']", "", None, "training"),
    ("s2", "c", "L", "MLO", "BI-RADS 3", "DENSITY B", "['Skin Thickening']", "BI-RADS 3", MASS, "test"),
    ("s2", "d", "R", "MLO", "BI-RADS 2", "DENSITY B", "['No Finding']", "", None, "test"),
)  # fmt: skip


def vindr_mammo(root: Path) -> Path:
    breasts = ["study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split"]
    findings = [f"{breasts[0]},finding_categories,finding_birads,xmin,ymin,xmax,ymax"]
    for study, image, side, view, birads, density, categories, of_finding, box, split in _VINDR_ROWS:
        common = f"{study},x,{image},{side},{view},{ROWS},{COLUMNS},{birads},{density},{split}"
        if common not in breasts:
            breasts.append(common)
            dicom(root / f"images/{study}/{image}.dicom", study, side, view, seed=len(breasts))
        corners = f"{box[0]},{box[1]},{box[0] + box[2]},{box[1] + box[3]}" if box else ",,,"
        findings.append(f'{common},"{categories}",{of_finding},{corners}')
    (root / "breast-level_annotations.csv").write_text("\n".join(breasts) + "\n")
    (root / "finding_annotations.csv").write_text("\n".join(findings) + "\n")
    return root


def cmmd(root: Path) -> Path:
    for number, (patient, side, view) in enumerate(
        (("D1-0001", "R", "CC"), ("D1-0001", "R", "MLO"), ("D1-0001", "L", "CC"), ("D2-0002", "L", "CC"))
    ):
        dicom(root / f"CMMD/{patient}/study/series/1-{number + 1}.dcm", patient, side, view, seed=number)
    rows = [
        ["ID1", "LeftRight", "Age", "number", "abnormality", "classification", "subtype"],
        ["D1-0001", "R", 44, 2, "calcification", "Benign", None],
        ["D2-0002", "L", 60, 2, "both", "Malignant", "Luminal A"],
    ]
    workbook(root / "CMMD_clinicaldata_revision.xlsx", rows)
    return root


def dmid(root: Path) -> Path:
    for number in range(1, 6):
        rgba = np.dstack(
            [(film(number, ROWS, COLUMNS) >> 8).astype(np.uint8)] * 3 + [np.full((ROWS, COLUMNS), 255, np.uint8)]
        )
        picture(root / f"TIFF Images/TIFF Images/IMG{number:03}.tif", pixels=rgba)
    for number in (1, 3):
        picture(root / f"ROI Masks/ROI Masks/IMG{number:03}.tif", pixels=mask())
    workbook(root / "Metadata.xlsx", [
        ["What the columns mean"], [], ["1st column: image"],
        ["IMG001", "CCLT", "F", "SPIC", "M", 50, 100, 20],
        ["IMG002", "MLORT", "G", "NORM", None, None, None, None],
        ["IMG003", "MLO LT", "D", "CALC+CIRC", "B", 50, 100, 20],
        ["IMG004", "CCRT", "D", "ARCH", "B", 50, 100, 20],
        ["IMG009", "CCRT", "D", "NORM"],
    ])  # fmt: skip
    return root


def kau_bcmd(root: Path) -> Path:
    for number, (folder, name) in enumerate(
        (("BIRAD1/b1", "2018_BC005421_CC_R"), ("Birad4/b4", "2018_BC005422_MLO_L"),
         ("Birad5/Birad5", "2018_BC005422_MLO_L"),
         ("Birad3/b3", "2019_BC7_CC_L"), ("Birad3/b3", "what is this"), ("Birad3/b3/Tumor Masks", "2019_BC7_CC_L"))
    ):  # fmt: skip
        picture(root / folder / f"{name}.jpg", number)
    workbook(
        root / "correctSheetlast.xlsx",
        [
            ["No", "Image path", "Percentage of\n grandular tissue(density)"],
            [1, r"b1\2018_BC005421_CC_R.jpg", "26%-50%"],
        ],
        "correctSheet",
    )
    return root


def chain(box: tuple[int, int, int, int] = MASS) -> str:
    """The outline of a box of pixels as DDSM writes it: start, steps clockwise."""
    x, y, width, height = box
    steps = [2] * (width - 1) + [4] * (height - 1) + [6] * (width - 1) + [0] * (height - 1)
    return f"{x} {y} {' '.join(map(str, steps))} #"


def ddsm(root: Path) -> Path:
    case = root / "cancers/cancer_09/case3077"
    picture(case / "B_3077_1.LEFT_CC.LJPEG.png", 1)
    picture(case / "B_3077_1.LEFT_MLO.png", 2)
    picture(case / "B_3077_1.RIGHT_CC.jpg", 3, (film(3, ROWS // 2, COLUMNS // 2) >> 8).astype(np.uint8))
    picture(case / "B_3077_1.RIGHT_CC_Mask.jpg", pixels=mask())
    (case / "B_3077_1.RIGHT_MLO.LJPEG").write_bytes(b"\xff\xd8")
    line = f"LINES {ROWS} PIXELS_PER_LINE {COLUMNS} BITS_PER_PIXEL 12 RESOLUTION 50"
    (case / "B-3077-1.ics").write_text(
        "ics_version 1.0\nfilename B-3077-1\nDENSITY 3\nFILM_TYPE REGULAR\n"
        f"LEFT_CC {line} OVERLAY\nLEFT_MLO {line} NON_OVERLAY\nRIGHT_CC {line} OVERLAY\nRIGHT_MLO {line} NON_OVERLAY\n"
    )
    (case / "B_3077_1.LEFT_CC.OVERLAY").write_text(
        "TOTAL_ABNORMALITIES 2 \nABNORMALITY 1 \n"
        "LESION_TYPE CALCIFICATION TYPE FINE_LINEAR_BRANCHING DISTRIBUTION LINEAR\n"
        "LESION_TYPE MASS SHAPE ARCHITECTURAL_DISTORTION MARGINS N/A\nASSESSMENT 4 \nSUBTLETY 5 \nPATHOLOGY MALIGNANT\n"
        f"TOTAL_OUTLINES 2 \nBOUNDARY\n{chain()}\n\tCORE\n{chain((50, 70, 5, 5))}\n"
        "ABNORMALITY 2 \nLESION_TYPE OTHER\nASSESSMENT 2 \nSUBTLETY 1 \nPATHOLOGY BENIGN\nTOTAL_OUTLINES 1\n"
        f"BOUNDARY\n{chain()}\n"
    )
    (case / "B_3077_1.RIGHT_CC.OVERLAY").write_text(
        "TOTAL_ABNORMALITIES 1\nABNORMALITY 1\nLESION_TYPE MASS SHAPE OVAL MARGINS SPICULATED\nASSESSMENT 3\n"
        f"SUBTLETY 2\nPATHOLOGY UNPROVEN\nTOTAL_OUTLINES 1\nBOUNDARY\n{chain()}\n"
    )
    return root


def coco(root: Path) -> Path:
    for number, name in enumerate(("w1/cc.png", "w1/mlo.png", "w2/cc.png")):
        picture(root / "images" / name, number)
    x, y, width, height = MASS
    columns = np.zeros((COLUMNS, ROWS), bool)
    columns[x : x + width, y : y + height] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns.ravel(), [False]]).astype(int)))
    counts = np.diff(np.concatenate([[0], edges, [ROWS * COLUMNS]])).tolist()
    flat = [float(value) for corner in square() for value in corner]
    content = {
        "info": {"description": "Our images", "contributor": "Ward 7"},
        "licenses": [{"id": 1, "name": "CC0"}],
        "images": [
            {"id": 1, "file_name": "w1/cc.png", "laterality": "L", "view": "CC"},
            {"id": 2, "file_name": "w1/mlo.png", "patient_id": "w1"},
            {"id": 3, "file_name": "w2/cc.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": list(MASS), "segmentation": [flat]},
            {"id": 2, "image_id": 1, "category_id": 2, "bbox": [100, 20, 20, 10]},
            {"id": 3, "image_id": 2, "category_id": 1, "segmentation": {"counts": counts, "size": [ROWS, COLUMNS]}},
        ],
        "categories": [{"id": 1, "name": "malignant_mass"}, {"id": 2, "name": "Microcalcifications"}],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def csv_table(root: Path) -> Path:
    for number, name in enumerate(("a.png", "b.pgm", "c.jpg")):
        picture(root / name, number)
    (root / "boxes.csv").write_text(
        "image,x,y,width,height,label,patient_id,breast_side,view\n"
        "a.png,40,60,30,50,malignant mass,w1,LEFT,cc\na.png,100,20,20,10,calcification,w1,LEFT,cc\n"
        "b.pgm,,,,,normal,w1,RIGHT,cc\nc.jpg,10,10,20,20,benign,w2,,\n"
    )
    return root


def cbis_jpeg(root: Path) -> Path:
    """The common JPEG edition: folders by series UID, tables in ``csv/``."""
    download = Download(root / "dicom")
    download.add("train", "P_00001")
    download.add("test", "P_00002", side="RIGHT")
    for split in ("train", "test"):
        for row in download.masses[split]:
            pictures = {"image file path": film(3), "cropped image file path": film(4)[:40, :30],
                        "ROI mask file path": ellipse((30, 60, 24, 36))}  # fmt: skip
            for number, (column, pixels) in enumerate(pictures.items(), start=1):
                series = row[column].split("/")[-2]
                picture(root / f"jpeg/{series}/{number}-249.jpg", pixels=pixels)
    download.root = root / "csv"
    download.finish()
    (root / "csv/dicom_info.csv").write_text("file_path,image_path,PatientID,SeriesDescription\n")
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "inbreast": inbreast, "mini-mias": mini_mias, "vindr-mammo": vindr_mammo, "cmmd": cmmd, "dmid": dmid,
    "kau-bcmd": kau_bcmd, "ddsm": ddsm, "coco": coco, "csv-table": csv_table,
}  # fmt: skip
