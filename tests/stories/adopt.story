# adopt writes outside changes into config.toml, and prints a patch for classes.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ processing/dataset_cleanup  create  does not exist yet
    default_cpu                         4
    default_gpu                         0
    default_parameters.data_tag         cleaned
    default_parameters.datalake         default
    default_parameters.drop_duplicates  true
    default_parameters.least_sharpness  12.5
    default_parameters.smallest_side    64
    description                         Copies a dataset version without blurred and duplicated images.
    docker_flags                        []
    docker_image                        registry/examples/dataset_cleanup
    docker_tag                          latest
    target                              DATASET_VERSION
    type                                DATASET_VERSION_CREATION
├── + input/dataset_cleanup/archive  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 DATALAKE
│       required                   false
├── + input/dataset_cleanup/dataset  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  OBJECT_DETECTION
│       input_type                 DATASET_VERSION
│       required                   true
├── + input/dataset_cleanup/embedding_model  create  does not exist yet
│       framework_constraint       ONNX
│       inference_type_constraint  null
│       input_type                 MODEL_VERSION
│       required                   false
├── + input/dataset_cleanup/report_title  create  does not exist yet
│       framework_constraint       null
│       inference_type_constraint  null
│       input_type                 TEXT
│       required                   false
└── + input/dataset_cleanup/sample_size  create  does not exist yet
        framework_constraint       null
        inference_type_constraint  null
        input_type                 NUMBER
        required                   true
Plan: 7 to create.
Done: 7 created.
| creating image/registry/examples/dataset_cleanup
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ writes
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
PATCH /v2/examples/dataset_cleanup/blobs/uploads/… 202
PUT /v2/examples/dataset_cleanup/blobs/uploads/… 201
PUT /v2/examples/dataset_cleanup/manifests/sha256:… 201
PUT /v2/examples/dataset_cleanup/manifests/1.0.0 201
PUT /v2/examples/dataset_cleanup/manifests/latest 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201

$ platform edit-processing dataset_cleanup default_cpu=64 description="two \"words\""

$ platform edit-input dataset_cleanup archive required=true inference_type_constraint=SEGMENTATION

$ platform delete-input dataset_cleanup report_title

$ platform add-input dataset_cleanup stray input_type=NUMBER required=false

$ platform edit-processing dataset_cleanup 'default_parameters={"datalake":"other","data_tag":"cleaned","smallest_side":128,"least_sharpness":13,"drop_duplicates":true,"margin":2}'

# A computed value is refused, and nothing is written.
$ reconciler adopt dataset_cleanup processing/dataset_cleanup#target processing/dataset_cleanup#default_cpu
| error: processing/dataset_cleanup#target is computed from other values
|   at processing/dataset_cleanup
|   It follows from metadata.type.
[1]

# One field of config.toml: only its value changes, in the style of the file.
$ reconciler adopt dataset_cleanup processing/dataset_cleanup#default_cpu
|   @@ -13,7 +13,7 @@
|    [docker]
|    image_name = "registry/examples/dataset_cleanup"
|    image_tag = ""
|   -cpu = "4"
|   +cpu = "64"
|    gpu = "0"
|    
|    # The sandbox's registry and a base image in it: no Docker Engine is needed to try this pipeline.
| dataset_cleanup/config.toml: 1 value written (processing/dataset_cleanup#default_cpu)

$ show dataset_cleanup/config.toml cpu|description
description = "Copies a dataset version without blurred and duplicated images."
cpu = "64"

$ reconciler adopt dataset_cleanup processing/dataset_cleanup#default_cpu
| nothing to adopt: nothing was changed outside

# All other changes.
$ reconciler adopt dataset_cleanup
--- a/dataset_cleanup/utils/parameters.py
+++ b/dataset_cleanup/utils/parameters.py
@@ -7,12 +7,13 @@
 class ProcessingParameters(Parameters):
     def __init__(self, log_data: LogDataType):
         super().__init__(log_data=log_data)
-        self.datalake = self.extract_parameter(["datalake"], expected_type=str, default="default")
+        self.datalake = self.extract_parameter(["datalake"], expected_type=str, default="other")
         self.data_tag = self.extract_parameter(["data_tag"], expected_type=str, default="cleaned")
         self.smallest_side = self.extract_parameter(
-            ["smallest_side"], expected_type=int, default=SMALLEST_SIDE, range_value=(1, 10_000)
+            ["smallest_side"], expected_type=int, default=128, range_value=(1, 10_000)
         )
         self.least_sharpness = self.extract_parameter(
-            ["least_sharpness", "sharpness"], expected_type=float, default=12.5
+            ["least_sharpness", "sharpness"], expected_type=float, default=13.0
         )
         self.drop_duplicates = self.extract_parameter(["drop_duplicates"], expected_type=bool, default=True)
+        self.margin = self.extract_parameter(["margin"], expected_type=int, default=2)
--- a/dataset_cleanup/utils/inputs.py
+++ b/dataset_cleanup/utils/inputs.py
@@ -18,6 +18,6 @@
             required=False,
             framework_constraint=Framework.ONNX,
         )
-        self.define_input(name="archive", input_type=ProcessingInputType.DATALAKE, required=False)
-        self.define_input(name="report_title", input_type=ProcessingInputType.TEXT, required=False)
+        self.define_input(name="archive", input_type=ProcessingInputType.DATALAKE, required=True, inference_type_constraint=InferenceType.SEGMENTATION)
         self.define_input(name="sample_size", input_type=ProcessingInputType.NUMBER)
+        self.define_input(name="stray", input_type=ProcessingInputType.NUMBER, required=False)
|   @@ -1,7 +1,7 @@
|    [metadata]
|    name = "dataset_cleanup"
|    version = "1.0"
|   -description = "Copies a dataset version without blurred and duplicated images."
|   +description = "two \"words\""
|    type = "DATASET_VERSION_CREATION"
|    
|    [execution]
| apply the patch with git apply or patch -p1 in this folder
| dataset_cleanup/config.toml: 1 value written (processing/dataset_cleanup#description)
| in the patch, not yet in a file: processing/dataset_cleanup#default_parameters.datalake, processing/dataset_cleanup#default_parameters.least_sharpness, processing/dataset_cleanup#default_parameters.margin, processing/dataset_cleanup#default_parameters.smallest_side, input/dataset_cleanup/archive#inference_type_constraint, input/dataset_cleanup/archive#required, input/dataset_cleanup/report_title, input/dataset_cleanup/stray
| this changes the image's source; publish it:  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --bump patch

$ show dataset_cleanup/config.toml cpu|description
description = "two \"words\""
cpu = "64"

$ writes
none
