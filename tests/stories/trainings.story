# Five trainings of one repository are called `training`. Their images tell them apart.
$ training clip

$ training dino

$ training sam

$ training unet

$ training yolo

$ reconciler plan training
| error: 5 pipelines are called training
|   clip/training  registry/team/training-clip
|   dino/training  registry/team/training-dino
|   sam/training  registry/team/training-sam
|   unet/training  registry/team/training-unet
|   yolo/training  registry/team/training-yolo
|   Give the path or the stack of the one you mean.
[1]

# The path of a folder selects one, and so does the name of a stack.
$ reconciler apply clip/training --yes --parallel 1
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
+ image/registry/team/training-clip  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags              ["--gpus all", "--ipc host", "--name training"]
        docker_image              registry/team/training-clip
        docker_tag                latest
        framework                 PYTORCH
        name                      v1
        parameters.batch_size     8
        parameters.epochs         3
        parameters.image_size     224
        parameters.learning_rate  0.001
        type                      CLASSIFICATION
Plan: 3 to create.
Done: 3 created.
  model/clip  http://sandbox/model/…
  model-version/clip/v1  http://sandbox/model/version/…
| creating image/registry/team/training-clip
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/team/training-clip
| + created model/clip
| + created model-version/clip/v1

$ reconciler plan registry/team/training-clip --exit-code
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
Nothing to do: 3 resources unchanged.

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 5 pipelines: 4 to change, 1 in sync.
Resources: 12 to create.
+ image          create  never-published     4 pipelines: dino/training, sam/training, unet/training and 1 more
+ model          create  does not exist yet  4 pipelines: dino/training, sam/training, unet/training and 1 more
+ model-version  create  does not exist yet  4 pipelines: dino/training, sam/training, unet/training and 1 more
Done: 4 applied, 1 unchanged.
Published 1.0.0 for 4 pipelines: dino/training, sam/training, unet/training, yolo/training
| [1/4] applied  registry/team/training-dino (dino/training)  1.0.0
| [2/4] applied  registry/team/training-sam (sam/training)  1.0.0
| [3/4] applied  registry/team/training-unet (unet/training)  1.0.0
| [4/4] applied  registry/team/training-yolo (yolo/training)  1.0.0

$ reconciler state list
sandbox@sandbox/registry/team/training-clip
sandbox@sandbox/registry/team/training-dino
sandbox@sandbox/registry/team/training-sam
sandbox@sandbox/registry/team/training-unet
sandbox@sandbox/registry/team/training-yolo

$ reconciler plan --all --exit-code
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-dino (dino/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-sam (sam/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-unet (unet/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-yolo (yolo/training)  http://sandbox
Nothing to do: 3 resources unchanged.

$ reconciler status --all
pipeline                                            environment              runs   applied  files  image                drift    last apply
registry/team/training-clip (clip/training)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody
registry/team/training-dino (dino/training)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody
registry/team/training-sam (sam/training)    sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody
registry/team/training-unet (unet/training)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody
registry/team/training-yolo (yolo/training)  sandbox@sandbox  1.0.0  1.0.0    1.0.0  sha256:…  in sync  just now by somebody

# What leaves the files of one is deleted, and nothing of another.
$ edit clip/training/config.toml 'name = "v1"' 'name = "v2"'

$ writes
POST /v2/team/training-clip/blobs/uploads/ 202
DELETE /v2/team/training-clip/blobs/uploads/… 204
POST /v2/team/training-clip/blobs/uploads/ 201
POST /v2/team/training-clip/blobs/uploads/ 201
POST /v2/team/training-clip/blobs/uploads/ 201
POST /v2/team/training-clip/blobs/uploads/ 202
PATCH /v2/team/training-clip/blobs/uploads/… 202
PUT /v2/team/training-clip/blobs/uploads/… 201
POST /v2/team/training-clip/blobs/uploads/ 202
PATCH /v2/team/training-clip/blobs/uploads/… 202
PUT /v2/team/training-clip/blobs/uploads/… 201
PUT /v2/team/training-clip/manifests/sha256:… 201
PUT /v2/team/training-clip/manifests/1.0.0 201
PUT /v2/team/training-clip/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201
POST /v2/team/training-dino/blobs/uploads/ 202
DELETE /v2/team/training-dino/blobs/uploads/… 204
POST /v2/team/training-dino/blobs/uploads/ 201
POST /v2/team/training-dino/blobs/uploads/ 201
POST /v2/team/training-dino/blobs/uploads/ 201
POST /v2/team/training-dino/blobs/uploads/ 202
PATCH /v2/team/training-dino/blobs/uploads/… 202
PUT /v2/team/training-dino/blobs/uploads/… 201
POST /v2/team/training-dino/blobs/uploads/ 202
PATCH /v2/team/training-dino/blobs/uploads/… 202
PUT /v2/team/training-dino/blobs/uploads/… 201
PUT /v2/team/training-dino/manifests/sha256:… 201
PUT /v2/team/training-dino/manifests/1.0.0 201
PUT /v2/team/training-dino/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201
POST /v2/team/training-sam/blobs/uploads/ 202
DELETE /v2/team/training-sam/blobs/uploads/… 204
POST /v2/team/training-sam/blobs/uploads/ 201
POST /v2/team/training-sam/blobs/uploads/ 201
POST /v2/team/training-sam/blobs/uploads/ 201
POST /v2/team/training-sam/blobs/uploads/ 202
PATCH /v2/team/training-sam/blobs/uploads/… 202
PUT /v2/team/training-sam/blobs/uploads/… 201
POST /v2/team/training-sam/blobs/uploads/ 202
PATCH /v2/team/training-sam/blobs/uploads/… 202
PUT /v2/team/training-sam/blobs/uploads/… 201
PUT /v2/team/training-sam/manifests/sha256:… 201
PUT /v2/team/training-sam/manifests/1.0.0 201
PUT /v2/team/training-sam/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201
POST /v2/team/training-unet/blobs/uploads/ 202
DELETE /v2/team/training-unet/blobs/uploads/… 204
POST /v2/team/training-unet/blobs/uploads/ 201
POST /v2/team/training-unet/blobs/uploads/ 201
POST /v2/team/training-unet/blobs/uploads/ 201
POST /v2/team/training-unet/blobs/uploads/ 202
PATCH /v2/team/training-unet/blobs/uploads/… 202
PUT /v2/team/training-unet/blobs/uploads/… 201
POST /v2/team/training-unet/blobs/uploads/ 202
PATCH /v2/team/training-unet/blobs/uploads/… 202
PUT /v2/team/training-unet/blobs/uploads/… 201
PUT /v2/team/training-unet/manifests/sha256:… 201
PUT /v2/team/training-unet/manifests/1.0.0 201
PUT /v2/team/training-unet/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201
POST /v2/team/training-yolo/blobs/uploads/ 202
DELETE /v2/team/training-yolo/blobs/uploads/… 204
POST /v2/team/training-yolo/blobs/uploads/ 201
POST /v2/team/training-yolo/blobs/uploads/ 201
POST /v2/team/training-yolo/blobs/uploads/ 201
POST /v2/team/training-yolo/blobs/uploads/ 202
PATCH /v2/team/training-yolo/blobs/uploads/… 202
PUT /v2/team/training-yolo/blobs/uploads/… 201
POST /v2/team/training-yolo/blobs/uploads/ 202
PATCH /v2/team/training-yolo/blobs/uploads/… 202
PUT /v2/team/training-yolo/blobs/uploads/… 201
PUT /v2/team/training-yolo/manifests/sha256:… 201
PUT /v2/team/training-yolo/manifests/1.0.0 201
PUT /v2/team/training-yolo/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201

$ reconciler apply clip/training --yes --prune --parallel 1
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
- model-version/clip/v1  delete  no longer in the files
+ model-version/clip/v2  create  does not exist yet
    docker_flags              ["--gpus all", "--ipc host", "--name training"]
    docker_image              registry/team/training-clip
    docker_tag                latest
    framework                 PYTORCH
    name                      v2
    parameters.batch_size     8
    parameters.epochs         3
    parameters.image_size     224
    parameters.learning_rate  0.001
    type                      CLASSIFICATION
Plan: 1 to create, 1 to delete, 2 unchanged.
Done: 1 created, 1 deleted.
  model-version/clip/v2  http://sandbox/model/version/…
| - deleted model-version/clip/v1
| + created model-version/clip/v2

$ writes
DELETE /api/model/version/… 204
POST /api/model/…/versions 201

$ reconciler plan --all --exit-code
sandbox@sandbox/registry/team/training-clip (clip/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-dino (dino/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-sam (sam/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-unet (unet/training)  http://sandbox
Nothing to do: 3 resources unchanged.
sandbox@sandbox/registry/team/training-yolo (yolo/training)  http://sandbox
Nothing to do: 3 resources unchanged.

$ platform edit-version dino v1 framework=TENSORFLOW

$ platform edit-version yolo v1 framework=TENSORFLOW

$ reconciler drift --all
sandbox@sandbox/registry/team/training-dino (dino/training)  last applied … by somebody
  drift model-version/dino/v1#framework  changed outside
    in the files      PYTORCH
    last applied      PYTORCH
    live              TENSORFLOW
    set at            dino/training/config.toml:19
    changed           … by another-user
    apply the files   reconciler apply registry/team/training-dino --organization sandbox --env CUSTOM --target model-version/dino/v1
    adopt the change  reconciler adopt registry/team/training-dino --organization sandbox --env CUSTOM 'model-version/dino/v1#framework'
sandbox@sandbox/registry/team/training-yolo (yolo/training)  last applied … by somebody
  drift model-version/yolo/v1#framework  changed outside
    in the files      PYTORCH
    last applied      PYTORCH
    live              TENSORFLOW
    set at            yolo/training/config.toml:19
    changed           … by another-user
    apply the files   reconciler apply registry/team/training-yolo --organization sandbox --env CUSTOM --target model-version/yolo/v1
    adopt the change  reconciler adopt registry/team/training-yolo --organization sandbox --env CUSTOM 'model-version/yolo/v1#framework'
Found: 2 drift. 3 pipelines in sync.
[11]
