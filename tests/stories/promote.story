# A candidate is tried in TEST, and LIVE gets its very image, without a build.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --env LIVE --yes --parallel 1
my-org@LIVE/dataset_cleanup  http://live
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     live
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
Plan: 7 to create.
Done: 7 created.
| creating image/registry/examples/dataset_cleanup
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag live -> 1.0.0
| + created image/registry/examples/dataset_cleanup
| + created processing/dataset_cleanup
| + created input/dataset_cleanup/archive
| + created input/dataset_cleanup/dataset
| + created input/dataset_cleanup/embedding_model
| + created input/dataset_cleanup/report_title
| + created input/dataset_cleanup/sample_size

$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # better"

$ reconciler apply dataset_cleanup --env TEST --bump rc --yes --parallel 1
my-test-org@TEST/dataset_cleanup  http://test
> image/registry/examples/dataset_cleanup  adopt  source-changed: the state does not say which of its 10 files differ
    channel     test                                        unrecorded: not in the state yet
    source_key  v2:… -> v2:…  unrecorded: not in the state yet
    version     1.0.0 -> 1.0.1-rc                           unrecorded: not in the state yet
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
Plan: 6 to create, 1 to adopt, 1 of them with changes.
Done: 6 created, 1 adopted.
  dataset_cleanup/config.toml now has version 1.0.1-rc  commit this file
| adopting image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.0.1-rc
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
PUT /v2/examples/dataset_cleanup/manifests/live 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
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

# A value is changed in TEST by hand, so what was tried there is not what LIVE would get.
$ platform edit-processing dataset_cleanup default_cpu=9

$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --yes
my-org@LIVE/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  1.0.0     sha256:…  since … by somebody
  becomes        1.0.1
~ image/registry/examples/dataset_cleanup  update  promoted: the image of TEST, tagged without a build  refused
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 6 unchanged.
| refused: image/registry/examples/dataset_cleanup
|   TEST is not as its last apply left it: processing/dataset_cleanup#default_cpu 4 -> 9
|     apply your files there first:  reconciler apply dataset_cleanup --organization my-test-org --env TEST
[12]

$ writes
none

$ reconciler apply dataset_cleanup --env TEST --yes
my-test-org@TEST/dataset_cleanup  http://test
~ processing/dataset_cleanup  update  changed outside
    default_cpu  9 -> 4  drift: changed outside
Plan: 1 to update, 6 unchanged. 1 field changed outside.
Done: 1 updated.
| ~ updated processing/dataset_cleanup

$ writes
PATCH /api/processing/… 200

# No blob is sent: the image gets two tags, and the platform the values of the files.
$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --yes --parallel 1
my-org@LIVE/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  1.0.0     sha256:…  since … by somebody
  becomes        1.0.1
~ image/registry/examples/dataset_cleanup  update  promoted: the image of TEST, tagged without a build
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
  dataset_cleanup/config.toml now has version 1.0.1  commit this file
  TEST has this image as 1.0.1-rc  to record 1.0.1 there:  reconciler apply dataset_cleanup --organization my-test-org --env TEST
| updating image/registry/examples/dataset_cleanup
|   tag 1.0.1 -> sha256:…
|   tag live -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup

$ writes
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
PUT /v2/examples/dataset_cleanup/manifests/1.0.1 201
PUT /v2/examples/dataset_cleanup/manifests/live 201

$ show dataset_cleanup/config.toml ^version|^image_tag
version = "1.0.1"
image_tag = ""

$ reconciler drift dataset_cleanup --env LIVE
No drift. 1 pipeline in sync.

$ reconciler drift dataset_cleanup --env TEST
No drift. 1 pipeline in sync.

$ reconciler status dataset_cleanup --env LIVE
pipeline         environment       runs      applied   files  image                drift                                  last apply
dataset_cleanup  my-org@LIVE       1.0.1     1.0.1     1.0.1  sha256:…  in sync                                just now by somebody
                 my-test-org@TEST  1.0.1-rc  1.0.1-rc  1.0.1  sha256:…  in sync; the next apply records 1.0.1  just now by somebody

$ reconciler promote dataset_cleanup --from TEST --to LIVE --final --yes
my-org@LIVE/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  1.0.1     sha256:…  since … by somebody
  becomes        1.0.1
Nothing to do: 7 resources unchanged.
  TEST has this image as 1.0.1-rc  to record 1.0.1 there:  reconciler apply dataset_cleanup --organization my-test-org --env TEST

$ writes
none

# A rollback of LIVE leaves TEST alone.
$ reconciler rollback dataset_cleanup --env LIVE --yes --parallel 1
my-org@LIVE/dataset_cleanup  http://live
~ image/registry/examples/dataset_cleanup  update  tag-moved: live points at sha256:…; re-tagged, no build
    channel  live            pending: the tag live is at 1.0.1, not yet at this image
    version  1.0.1 -> 1.0.0  pending: differs from that state version
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| updating image/registry/examples/dataset_cleanup
|   tag live -> 1.0.0
| ~ updated image/registry/examples/dataset_cleanup
|   your files are unchanged: the next apply brings their values back

$ writes
POST /v2/examples/dataset_cleanup/blobs/uploads/ 202
DELETE /v2/examples/dataset_cleanup/blobs/uploads/… 204
PUT /v2/examples/dataset_cleanup/manifests/live 201

$ reconciler drift dataset_cleanup --env TEST
No drift. 1 pipeline in sync.

# From now on, LIVE gets nothing else than what TEST runs, and nothing unseen.
$ edit reconciler.toml 'channel = "live"' 'channel = "live"\npromote_from = "TEST"\nreview = "always"'

$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # untried"

$ reconciler apply dataset_cleanup --env LIVE --bump patch --yes
my-org@LIVE/dataset_cleanup  http://live
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed  refused
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.2                              pending: the files changed
Plan: 1 to update, 6 unchanged.
| refused: image/registry/examples/dataset_cleanup
|   LIVE only gets images that TEST runs in sync (promote_from), and TEST runs 1.0.1-rc (sha256:…)
|     apply your files there first:  reconciler apply dataset_cleanup --organization my-test-org --env TEST --bump patch
|     in an emergency, state why, which the history keeps:  reconciler apply dataset_cleanup --organization my-org --env LIVE --bump patch --override REASON
[12]

$ edit dataset_cleanup/pipeline.py "  # untried" ""

$ reconciler promote dataset_cleanup --to LIVE --final --yes
my-org@LIVE/dataset_cleanup  http://live
  from     TEST  1.0.1-rc  sha256:…  since … by somebody
  to       LIVE  1.0.0     sha256:…  since … by somebody
  becomes        1.0.1
~ image/registry/examples/dataset_cleanup  update  promoted: the image of TEST, tagged without a build
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 6 unchanged.
| error: LIVE requires a review of a plan
|   at reconciler.toml:12
|   Nothing was changed. Look at the plan above; to apply it, use --approve …. --yes is not enough. In an emergency, state why with --override REASON, which the history keeps.
[12]

$ reconciler apply dataset_cleanup --env LIVE --yes --override "the camera driver crashes" --parallel 1
my-org@LIVE/dataset_cleanup  http://live
~ image/registry/examples/dataset_cleanup  update  tag-moved: live points at sha256:…; re-tagged, no build
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
| warning: promote_from and review of reconciler.toml are overridden
|   the camera driver crashes.
| updating image/registry/examples/dataset_cleanup
|   tag live -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup

$ reconciler state history my-org@live/dataset_cleanup
14-16  …  somebody  reconciler apply dataset_cleanup --env LIVE --yes --override the camera driver crashes --parallel 1
    1.0.1  applied
    ~ image/registry/examples/dataset_cleanup  source_key, version
    override: the camera driver crashes
11-13  …  somebody  reconciler rollback dataset_cleanup --env LIVE --yes --parallel 1 --to 7
    1.0.0  applied, back to serial 7
    ~ image/registry/examples/dataset_cleanup  source_key, version
8-10   …  somebody  reconciler promote dataset_cleanup --from TEST --to LIVE --final --yes --parallel 1
    1.0.1  rolled back
    ~ image/registry/examples/dataset_cleanup  source_key, version
    promoted from TEST
1-7    …  somebody  reconciler apply dataset_cleanup --env LIVE --yes --parallel 1
    1.0.0  applied
    + image/registry/examples/dataset_cleanup
    + input/dataset_cleanup/archive
    + input/dataset_cleanup/dataset
    + input/dataset_cleanup/embedding_model
    + input/dataset_cleanup/report_title
    + input/dataset_cleanup/sample_size
    + processing/dataset_cleanup
