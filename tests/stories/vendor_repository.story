# The vendor's repository of 34 pipelines. Its faults are found offline, each with its line, and nothing else: five
# trainings are called `training`, and that is none.
$ vendor

$ reconciler validate --all
ok SAM3_Bbox (pipelines/SAM3_Bbox)  PRE_ANNOTATION
   version     1.0.1
   image       picsellia/sam3-bbox-preannotation
   source      v2:…  7 files, … kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok SAM3_polygons (pipelines/SAM3_polygons)  PRE_ANNOTATION
   version     1.0.7
   image       picsellia/sam3_polygons
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok SAM3_polygons_from_box (pipelines/SAM3_polygons_from_box)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/sam3_polygons_from_box
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok SAM_3 (pipelines/SAM_3)  TRAINING
   version     1.0.0
   image       picsellia/training-sam3
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     SAM3/v1
ok YOLOv8_OBB (pipelines/YOLOv8_OBB/training)  TRAINING
   version     1.0.0
   image       picsellia/training-yolov8-obb
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     YOLOv8-OBB/v1
ok Albumentations (pipelines/albumentations_processing)  DATASET_VERSION_CREATION
   version     1.0.2
   image       picsellia/albumentation-processing
   source      v2:…  6 files, … kB
   parameters  epochs
ok bounding-box-cropper (pipelines/bounding_box_cropper)  DATASET_VERSION_CREATION
   version     1.0.1
   image       picsellia/processing-bounding-box-cropper
   source      v2:…  6 files, … kB
   parameters  epochs
ok convert_videos_to_frames (pipelines/convert_videos_to_frames)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/convert_videos_to_frames
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok dataset_diversified_subset (pipelines/dataset_diversified_subset)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/dataset_diversified_subset
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok dataset-tiler (pipelines/dataset_tiler)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/processing-dataset-tiler
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok training (pipelines/dinov2/training)  TRAINING
   version     1.0.0
   image       picsellia/training-dinov2
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     DINOv2/v1
ok dataset-diversifier (pipelines/diversified_dataset_extractor)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/processing-dataset-diversifier
   source      v2:…  6 files, … kB
   parameters  epochs
ok grounding_dino (pipelines/grounding_dino)  DATASET_VERSION_CREATION
   version     1.0.0
   image       soniagrh/grounding-dino
   source      v2:…  6 files, … kB
   parameters  epochs
ok mask_cropper (pipelines/mask_cropper)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/mask-cropper-processing
   source      v2:…  6 files, … kB
   parameters  epochs
ok mask_to_obb (pipelines/mask_to_obb)  DATASET_VERSION_CREATION
   version     1.0.0
   image       tibpicsell/mask_to_obb
   source      v2:…  6 files, … kB
   parameters  epochs
ok training (pipelines/maskrcnn/training)  TRAINING
   version     1.0.0
   image       picsellia/training-maskrcnn
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     Mask-RCNN/v1
ok training (pipelines/rt_detr/training)  TRAINING
   version     1.0.2
   image       picsellia/training-rt-detr
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     RT-DETR/v1
ok fine_tuning (pipelines/sam_2/fine_tuning)  TRAINING
   version     1.0.4
   image       picsellia/training-sam2
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     SAM2/v1
ok shapes-cropper (pipelines/shapes-cropper)  DATASET_VERSION_CREATION
   version     1.0.6
   image       picsellia/processing-bounding-box-cropper
   source      v2:…  6 files, … kB
   parameters  epochs
ok split_train_test_val (pipelines/split_train_test_val)  PRE_ANNOTATION
   version     1.0.0
   image       picsellia/split_train_test_val
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok split_video (pipelines/split_video)  DATASET_VERSION_CREATION
   version     1.0.0
   image       picsellia/split_video
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok tf2 (pipelines/tf2)  TRAINING
   version     1.0.0
   image       picsellia/training-tf2
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     maskrcnn/v1
ok video_frame_extractor (pipelines/video_frame_extractor)  DATASET_VERSION_CREATION
   version     1.0.3
   image       tibpicsell/video-frame-extractor
   source      v2:…  6 files, … kB
   parameters  epochs
ok yoloX/training (pipelines/yoloX/training)  TRAINING
   version     1.0.0
   image       picsellia/training-yolox
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     YOLOX/v1
ok yolov7_segmentation (pipelines/yolov7_segmentation)  TRAINING
   version     1.0.1
   image       picsellia/training-yolov7-segmentation
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     YOLOv7/segmentation
ok yolov8-pre-annotation (pipelines/yolov8/pre_annotation)  PRE_ANNOTATION
   version     1.0.11
   image       picsellia/yolov8-pre-annotation
   source      v2:…  7 files, 1,… kB
   inputs      dataset (DATASET_VERSION)
   parameters  epochs
ok yolov8-training (pipelines/yolov8/training)  TRAINING
   version     1.0.0
   image       picsellia/training-yolov8
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     YOLOV8/v1
| error: docker.image_name is empty
|   at pipelines/YOLOv8_OBB/config.toml:13
|   Name the image in config.toml, for example image_name = "user/my_pipeline".
| error: a training pipeline needs a model version to deploy to
|   at pipelines/clip/training/config.toml:5
|   Add a [model_version] table with origin_name, name, framework, inference_type, or one [[model_versions]] row for each target.
| error: a training pipeline needs a model version to deploy to
|   at pipelines/paddle_ocr/config.toml:5
|   Add a [model_version] table with origin_name, name, framework, inference_type, or one [[model_versions]] row for each target.
| error: docker.image_name 'picsellia/polygons_to_RLE_mask' is not an image name
|   at pipelines/polygons_to_RLE_mask/config.toml:14
|   Use lower-case letters, digits and single '.', '_', '-', after an optional registry host. Write for example "user/app" or "registry.example.com/team/app".
| error: a training pipeline needs a model version to deploy to
|   at pipelines/sam2/training/config.toml:5
|   Add a [model_version] table with origin_name, name, framework, inference_type, or one [[model_versions]] row for each target.
| error: docker.image_name is empty
|   at pipelines/sam2/training/config.toml:13
|   Name the image in config.toml, for example image_name = "user/my_pipeline".
| error: a training pipeline needs a model version to deploy to
|   at pipelines/training_grounding_dino/config.toml:5
|   Add a [model_version] table with origin_name, name, framework, inference_type, or one [[model_versions]] row for each target.
| error: docker.image_name is empty
|   at pipelines/training_grounding_dino/config.toml:13
|   Name the image in config.toml, for example image_name = "user/my_pipeline".
| error: a training pipeline needs a model version to deploy to
|   at pipelines/yolov8/fast_training/config.toml:5
|   Add a [model_version] table with origin_name, name, framework, inference_type, or one [[model_versions]] row for each target.
| error: two pipelines declare model-version/YOLOv8-OBB/v1
|   at pipelines/YOLOv8_OBB/training/config.toml:17  model-version/YOLOv8-OBB/v1
|   pipelines/YOLOv8_OBB/config.toml:17 has it, too. It can belong to one pipeline only: change one of the two.
| error: two pipelines declare image/picsellia/processing-bounding-box-cropper
|   at pipelines/shapes-cropper/config.toml:13  image/picsellia/processing-bounding-box-cropper
|   pipelines/bounding_box_cropper/config.toml:13 has it, too. It can belong to one pipeline only: change one of the two.
[1]

$ reconciler list --type TRAINING
folder                             stack                                   type      version  gpu
pipelines/SAM_3                    picsellia/training-sam3                 TRAINING  1.0.0    1
pipelines/YOLOv8_OBB               -                                       TRAINING  1.0      -
pipelines/YOLOv8_OBB/training      picsellia/training-yolov8-obb           TRAINING  1.0      -
pipelines/clip/training            picsellia/training-clip                 TRAINING  1.0      -
pipelines/dinov2/training          picsellia/training-dinov2               TRAINING  1.0.0    -
pipelines/maskrcnn/training        picsellia/training-maskrcnn             TRAINING  1.0.0    -
pipelines/paddle_ocr               picsellia/training-paddle-ocr           TRAINING  1.0      -
pipelines/rt_detr/training         picsellia/training-rt-detr              TRAINING  1.0.2    -
pipelines/sam2/training            -                                       TRAINING  1.0      -
pipelines/sam_2/fine_tuning        picsellia/training-sam2                 TRAINING  1.0.4    -
pipelines/tf2                      picsellia/training-tf2                  TRAINING  1.0      -
pipelines/training_grounding_dino  -                                       TRAINING  1.0      -
pipelines/yoloX/training           picsellia/training-yolox                TRAINING  1.0.0    -
pipelines/yolov7_segmentation      picsellia/training-yolov7-segmentation  TRAINING  1.0.1    -
pipelines/yolov8/fast_training     picsellia/fast-training-yolov8          TRAINING  1.0      -
pipelines/yolov8/training          picsellia/training-yolov8               TRAINING  1.0      -

# Mended, a candidate of one environment becomes the final version of the other: one image, built once.
$ vendor mended

$ reconciler validate pipelines/clip/training
ok training (pipelines/clip/training)  TRAINING
   version     1.0.0
   image       registry/picsellia/training-clip
   source      v2:…  6 files, … kB
   parameters  epochs
   targets     clip/v1

$ reconciler apply pipelines/clip/training --env TEST --yes --parallel 1
my-test-org@TEST/registry/picsellia/training-clip (pipelines/clip/training)  http://test
+ image/registry/picsellia/training-clip  create  never-published
    channel     test
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags       ["--gpus all", "--ipc host", "--name training"]
        docker_image       registry/picsellia/training-clip
        docker_tag         test
        framework          PYTORCH
        name               v1
        parameters.epochs  8
        type               OBJECT_DETECTION
Plan: 3 to create.
Done: 3 created.
  model/clip  http://test/model/…
  model-version/clip/v1  http://test/model/version/…
| creating image/registry/picsellia/training-clip
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag test -> 1.0.0
| + created image/registry/picsellia/training-clip
| + created model/clip
| + created model-version/clip/v1

$ reconciler apply pipelines/clip/training --env LIVE --yes --parallel 1
my-org@LIVE/registry/picsellia/training-clip (pipelines/clip/training)  http://live
> image/registry/picsellia/training-clip  adopt  new-tag: live does not exist yet; tagged, no build
    channel  live  unrecorded: not in the state yet
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags       ["--gpus all", "--ipc host", "--name training"]
        docker_image       registry/picsellia/training-clip
        docker_tag         live
        framework          PYTORCH
        name               v1
        parameters.epochs  8
        type               OBJECT_DETECTION
Plan: 2 to create, 1 to adopt, 1 of them with changes.
Done: 2 created, 1 adopted.
  model/clip  http://live/model/…
  model-version/clip/v1  http://live/model/version/…
| adopting image/registry/picsellia/training-clip
|   tag live -> 1.0.0
| > adopted image/registry/picsellia/training-clip
| + created model/clip
| + created model-version/clip/v1

$ edit pipelines/clip/training/pipeline.py 'print' 'print(1); print'

$ writes
POST /v2/picsellia/training-clip/blobs/uploads/ 202
DELETE /v2/picsellia/training-clip/blobs/uploads/… 204
POST /v2/picsellia/training-clip/blobs/uploads/ 201
POST /v2/picsellia/training-clip/blobs/uploads/ 201
POST /v2/picsellia/training-clip/blobs/uploads/ 201
POST /v2/picsellia/training-clip/blobs/uploads/ 202
PATCH /v2/picsellia/training-clip/blobs/uploads/… 202
PUT /v2/picsellia/training-clip/blobs/uploads/… 201
POST /v2/picsellia/training-clip/blobs/uploads/ 202
PATCH /v2/picsellia/training-clip/blobs/uploads/… 202
PUT /v2/picsellia/training-clip/blobs/uploads/… 201
PUT /v2/picsellia/training-clip/manifests/sha256:… 201
PUT /v2/picsellia/training-clip/manifests/1.0.0 201
PUT /v2/picsellia/training-clip/manifests/test 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201
POST /v2/picsellia/training-clip/blobs/uploads/ 202
DELETE /v2/picsellia/training-clip/blobs/uploads/… 204
PUT /v2/picsellia/training-clip/manifests/live 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201

$ reconciler deploy pipelines/clip/training --env TEST --bump rc --yes --parallel 1
training  TRAINING  1.0.0
my-test-org@TEST/registry/picsellia/training-clip (pipelines/clip/training)  http://test
~ image/registry/picsellia/training-clip  update  source-changed: pipeline.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1-rc                           pending: the files changed
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
  pipelines/clip/training/config.toml now has version 1.0.1-rc  commit this file
Deployed to my-test-org@TEST/registry/picsellia/training-clip (pipelines/clip/training)  http://test
  image          training-clip  registry/picsellia/training-clip:1.0.1-rc, test
  model          clip
    http://test/model/…
  model-version    v1           PYTORCH, OBJECT_DETECTION, test
    http://test/model/version/…
| updating image/registry/picsellia/training-clip
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.0.1-rc
| ~ updated image/registry/picsellia/training-clip

$ writes
POST /v2/picsellia/training-clip/blobs/uploads/ 202
DELETE /v2/picsellia/training-clip/blobs/uploads/… 204
POST /v2/picsellia/training-clip/blobs/uploads/ 202
PATCH /v2/picsellia/training-clip/blobs/uploads/… 202
PUT /v2/picsellia/training-clip/blobs/uploads/… 201
POST /v2/picsellia/training-clip/blobs/uploads/ 202
PATCH /v2/picsellia/training-clip/blobs/uploads/… 202
PUT /v2/picsellia/training-clip/blobs/uploads/… 201
PUT /v2/picsellia/training-clip/manifests/sha256:… 201
PUT /v2/picsellia/training-clip/manifests/1.0.1-rc 201
PUT /v2/picsellia/training-clip/manifests/test 201

$ reconciler deploy pipelines/clip/training --env LIVE --bump final --yes --parallel 1
training  TRAINING  1.0.1-rc
my-org@LIVE/registry/picsellia/training-clip (pipelines/clip/training)  http://live
~ image/registry/picsellia/training-clip  update  same-source: re-tagged, no build
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
  pipelines/clip/training/config.toml now has version 1.0.1  commit this file
Deployed to my-org@LIVE/registry/picsellia/training-clip (pipelines/clip/training)  http://live
  image          training-clip  registry/picsellia/training-clip:1.0.1, live
  model          clip
    http://live/model/…
  model-version    v1           PYTORCH, OBJECT_DETECTION, live
    http://live/model/version/…
| updating image/registry/picsellia/training-clip
|   tag 1.0.1 -> sha256:…
|   tag live -> 1.0.1
| ~ updated image/registry/picsellia/training-clip

$ writes
POST /v2/picsellia/training-clip/blobs/uploads/ 202
DELETE /v2/picsellia/training-clip/blobs/uploads/… 204
PUT /v2/picsellia/training-clip/manifests/1.0.1 201
PUT /v2/picsellia/training-clip/manifests/live 201

# One training of five that are called `training` was applied, and the plan of another does not touch it.
$ reconciler plan pipelines/dinov2/training --env LIVE --prune
my-org@LIVE/registry/picsellia/training-dinov2 (pipelines/dinov2/training)  http://live
+ image/registry/picsellia/training-dinov2  create  never-published
    channel     live
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/DINOv2  create  does not exist yet
    name  DINOv2
└── + model-version/DINOv2/v1  create  does not exist yet
        docker_flags       ["--gpus all", "--ipc host", "--name training"]
        docker_image       registry/picsellia/training-dinov2
        docker_tag         live
        framework          PYTORCH
        name               v1
        parameters.epochs  12
        type               CLASSIFICATION
Plan: 3 to create.
| approve exactly this with --approve …

$ reconciler state claims
image/registry/picsellia/training-clip  my-org@live/registry/picsellia/training-clip  since …  pipelines/clip/training/config.toml:13
model-version/clip/v1  my-org@live/registry/picsellia/training-clip  since …  pipelines/clip/training/config.toml:17
image/registry/picsellia/training-clip  my-test-org@test/registry/picsellia/training-clip  since …  pipelines/clip/training/config.toml:13
model-version/clip/v1  my-test-org@test/registry/picsellia/training-clip  since …  pipelines/clip/training/config.toml:17
