# What is proven in TEST is what LIVE gets: the very image, without a build.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --env TEST --bump rc --force-bump --parallel 1 --yes
my-test-org@test/dataset_cleanup  http://test
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     test
    platform    linux/amd64
    source_key  v2:…
    version     1.0.1-rc
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
    docker_tag                          test
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
  dataset_cleanup/config.toml now has version 1.0.1-rc and image_tag test  commit it
| creating image/registry/examples/dataset_cleanup
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag test -> 1.0.1-rc
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
PUT /v2/examples/dataset_cleanup/manifests/1.0.1-rc 201
PUT /v2/examples/dataset_cleanup/manifests/test 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201

# Somebody changes the processing in TEST, so nothing shows that what LIVE would get works.
$ platform edit-processing dataset_cleanup default_cpu=9

$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --yes
my-org@live/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  nothing
  becomes        1.0.1
> image/registry/examples/dataset_cleanup  adopt  promoted: the image of TEST, tagged without a build  refused
    channel  test -> live       unrecorded: not in the state yet
    version  1.0.1-rc -> 1.0.1  unrecorded: not in the state yet
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
    docker_tag                          live
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
Plan: 6 to create, 1 to adopt, 1 of them with changes.
| refused: image/registry/examples/dataset_cleanup
|   TEST is not as its last apply left it: processing/dataset_cleanup#default_cpu 4 -> 9
|     bring it in sync first:  reconciler apply dataset_cleanup --organization my-test-org --env TEST
[12]

$ writes
none

$ reconciler apply dataset_cleanup --env TEST --parallel 1 --yes
my-test-org@test/dataset_cleanup  http://test
~ processing/dataset_cleanup  update  changed outside
    default_cpu  9 -> 4  drift: changed outside
Plan: 1 to update, 6 unchanged. 1 field changed outside.
Done: 1 updated.
| ~ updated processing/dataset_cleanup

$ writes
PATCH /api/processing/… 200

$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --parallel 1 --yes
my-org@live/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  nothing
  becomes        1.0.1
> image/registry/examples/dataset_cleanup  adopt  promoted: the image of TEST, tagged without a build
    channel  test -> live       unrecorded: not in the state yet
    version  1.0.1-rc -> 1.0.1  unrecorded: not in the state yet
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
    docker_tag                          live
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
Plan: 6 to create, 1 to adopt, 1 of them with changes.
Done: 6 created, 1 adopted.
  dataset_cleanup/config.toml now has version 1.0.1 and image_tag latest  commit it
| adopting image/registry/examples/dataset_cleanup
|   tag 1.0.1 -> sha256:…
|   tag live -> 1.0.1
| > adopted image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ writes
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
PUT /v2/examples/dataset_cleanup/manifests/1.0.1 201
PUT /v2/examples/dataset_cleanup/manifests/live 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201

$ show dataset_cleanup/config.toml ^version|^image_tag
version = "1.0.1"
image_tag = "latest"

$ reconciler drift dataset_cleanup --env LIVE
No drift. 1 pipeline in sync.

$ reconciler drift dataset_cleanup --env TEST
No drift. 1 pipeline in sync.

$ reconciler status dataset_cleanup --env LIVE
pipeline         environment                  runs      applied   files  image                drift                                  last apply
dataset_cleanup  my-org@live       1.0.1     1.0.1     1.0.1  sha256:…  in sync                                just now by somebody
                 my-test-org@test  1.0.1-rc  1.0.1-rc  1.0.1  sha256:…  as in the files, but not in the state  just now by somebody

$ reconciler status dataset_cleanup --env TEST
pipeline         environment                  runs      applied   files  image                drift                                  last apply
dataset_cleanup  my-org@live       1.0.1     1.0.1     1.0.1  sha256:…  in sync                                just now by somebody
                 my-test-org@test  1.0.1-rc  1.0.1-rc  1.0.1  sha256:…  as in the files, but not in the state  just now by somebody

$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --parallel 1 --yes
my-org@live/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  1.0.1     sha256:…  since … by somebody
  becomes        1.0.1
Nothing to do: 7 resources unchanged.

$ writes
none
