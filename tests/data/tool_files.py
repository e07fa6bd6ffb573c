"""Files as annotation tools write them, of videos of 24 x 32 pixels."""

import csv
import json

META = """<meta><task><id>4</id><name>first</name><size>{size}</size><mode>interpolation</mode>
<start_frame>{start}</start_frame><stop_frame>{stop}</stop_frame><frame_filter>{filter}</frame_filter>
<labels><label><name>wave</name><type>any</type><attributes/></label><label><name>person</name><attributes><attribute>
<name>action</name><mutable>True</mutable><input_type>select</input_type><default_value>none</default_value>
<values>none
walk
wave</values></attribute></attributes></label></labels>
<original_size><width>32</width><height>24</height></original_size><source>a.mp4</source></task></meta>"""


def cvat(*tracks, size=6, start=0, stop=5, filter=""):
    meta = META.format(size=size, start=start, stop=stop, filter=filter)
    head = "<?xml version='1.0' encoding='utf-8'?>\n<annotations><version>1.1</version>"
    return f"{head}{meta}{''.join(tracks)}</annotations>"


def track(*boxes, label="wave", number=0):
    return f'<track id="{number}" label="{label}" source="manual">{"".join(boxes)}</track>'


def box(frame, x=2.0, outside=0, action=None, more=""):
    inner = "" if action is None else f'<attribute name="action">{action}</attribute>'
    return (
        f'<box frame="{frame}" keyframe="0" outside="{outside}" occluded="0" xtl="{x:.2f}" ytl="3.00" '
        f'xbr="{x + 10:.2f}" ybr="15.00" z_order="0" {more}>{inner}</box>'
    )


def write_via(path, rows, hashed=False):
    names = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as stream:
        stream.write(("#" if hashed else "") + names + "\n")
        for image, shape, attributes in rows:
            cells = ["{}", 1, 0, json.dumps(shape), json.dumps(attributes)]
            csv.writer(stream).writerow([image, 100, *cells])
    return path


def rect(x, y=3):
    return {"name": "rect", "x": x, "y": y, "width": 10, "height": 12}


def labelme(*shapes, height=24, width=32):
    content = {"version": "5.4.1", "flags": {}, "imagePath": "x.png", "imageData": None}
    return json.dumps({**content, "imageHeight": height, "imageWidth": width, "shapes": list(shapes)})


def shape(x, label="wave", group=None, kind="rectangle"):
    points = [[x + 10, 15], [x, 3]]  # any two opposite corners
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}}
