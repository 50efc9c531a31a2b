# The published image of a pipeline, read from the registry only.
$ example dataset_cleanup

$ reconciler image dataset_cleanup
dataset_cleanup  registry/examples/dataset_cleanup
+ 1.0.0  never-published
published
  neither this version nor a channel tag is published
source
  source key  v2:…
  files       10 files, … kB
  dockerfile  Dockerfile
  platform    linux/amd64
  base        registry/base/python:3.11
  workdir     /experiment/dataset_cleanup
  entrypoint  python pipeline.py
  state       none here, so the files that changed are unknown; the next apply records them
  built by    reconciler, without Docker (builder = "append"): set in the settings

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

$ reconciler image dataset_cleanup
dataset_cleanup  registry/examples/dataset_cleanup
= 1.0.0  published
published
  tags        1.0.0, latest
  digest      sha256:…
  platform    linux/amd64
  source key  v2:…
source
  source key  v2:…
  files       10 files, … kB
  dockerfile  Dockerfile
  platform    linux/amd64
  base        registry/base/python:3.11
  workdir     /experiment/dataset_cleanup
  entrypoint  python pipeline.py
  state       serial 7
layers
  … kB  …  base    ADD etc/os-release
  … kB  …  base    ADD usr/local/bin/python
  … kB  …  base    ADD etc/pip.conf
   … kB  …  folder  COPY . /experiment/dataset_cleanup
  … kB in 4 layers, … kB on top of the base

# The state has the files that differ. Without state, they are counted.
$ edit dataset_cleanup/pipeline.py "import argparse" "import argparse  # better"

$ reconciler image dataset_cleanup
dataset_cleanup  registry/examples/dataset_cleanup
! 1.0.0  source-changed
    pipeline.py changed
  1.0.0 is published from another source, and is never overwritten
  publish it as a new version:  reconciler apply dataset_cleanup --organization sandbox --env CUSTOM --bump patch
published
  tags        1.0.0, latest
  digest      sha256:…
  platform    linux/amd64
  source key  v2:…
source
  source key  v2:…
  files       10 files, … kB
  dockerfile  Dockerfile
  platform    linux/amd64
  base        registry/base/python:3.11
  workdir     /experiment/dataset_cleanup
  entrypoint  python pipeline.py
  state       serial 7
  built by    reconciler, without Docker (builder = "append"): set in the settings
layers
  … kB  …  base    ADD etc/os-release
  … kB  …  base    ADD usr/local/bin/python
  … kB  …  base    ADD etc/pip.conf
   … kB  …  folder  COPY . /experiment/dataset_cleanup
  … kB in 4 layers, … kB on top of the base

$ reconciler image dataset_cleanup --organization another
dataset_cleanup  registry/examples/dataset_cleanup
! 1.0.0  source-changed  the state does not say which of its 10 files differ
  1.0.0 is published from another source, and is never overwritten
  publish it as a new version:  reconciler apply dataset_cleanup --organization another --env CUSTOM --bump patch
published
  tags        1.0.0, latest
  digest      sha256:…
  platform    linux/amd64
  source key  v2:…
source
  source key  v2:…
  files       10 files, … kB
  dockerfile  Dockerfile
  platform    linux/amd64
  base        registry/base/python:3.11
  workdir     /experiment/dataset_cleanup
  entrypoint  python pipeline.py
  state       none here, so the files that changed are unknown; the next apply records them
  built by    reconciler, without Docker (builder = "append"): set in the settings
layers
  … kB  …  base    ADD etc/os-release
  … kB  …  base    ADD usr/local/bin/python
  … kB  …  base    ADD etc/pip.conf
   … kB  …  folder  COPY . /experiment/dataset_cleanup
  … kB in 4 layers, … kB on top of the base

# The next version is published, and a user moves the channel tag back.
$ reconciler apply dataset_cleanup --parallel 1 --bump patch
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  source-changed: pipeline.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
Plan: 1 to update, 6 unchanged.
Done: 1 updated.
  dataset_cleanup/config.toml now has version 1.0.1 and image_tag latest  commit this file
| updating image/registry/examples/dataset_cleanup
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup

$ registry tag examples/dataset_cleanup 1.0.0 latest

$ reconciler image dataset_cleanup
dataset_cleanup  registry/examples/dataset_cleanup
~ 1.0.1  tag-moved  latest points at sha256:…; re-tagged, no build
published
  tags        1.0.1
  other tags  latest -> sha256:…
  digest      sha256:…
  platform    linux/amd64
  source key  v2:…
source
  source key  v2:…
  files       10 files, … kB
  dockerfile  Dockerfile
  platform    linux/amd64
  base        registry/base/python:3.11
  workdir     /experiment/dataset_cleanup
  entrypoint  python pipeline.py
  state       serial 10
layers
  … kB  …  base    ADD etc/os-release
  … kB  …  base    ADD usr/local/bin/python
  … kB  …  base    ADD etc/pip.conf
   … kB  …  folder  COPY . /experiment/dataset_cleanup
  … kB in 4 layers, … kB on top of the base

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  null -> latest  drift: changed outside
Plan: 1 to update, 6 unchanged. 1 field changed outside.
| approve exactly this with --approve …
[11]

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
~ image/registry/examples/dataset_cleanup  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  null -> latest  drift: changed outside
Plan: 1 to update, 6 unchanged. 1 field changed outside.
Done: 1 updated.
| updating image/registry/examples/dataset_cleanup
|   tag latest -> 1.0.1
| ~ updated image/registry/examples/dataset_cleanup

$ reconciler plan dataset_cleanup --exit-code
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 7 resources unchanged.
