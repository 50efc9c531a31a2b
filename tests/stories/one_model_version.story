# Two pipelines declare one model version. It belongs to the first one that is applied: the other one is refused
# until it takes the model version over, or declares another one. Neither ever overwrites the other.
$ example single_training

$ copy single_training second

$ edit second/config.toml 'name = "single_training"' 'name = "second"'

$ edit second/config.toml 'examples/single_training' 'examples/second'

$ edit second/utils/parameters.py '0.001' '0.002'

$ reconciler validate --all
ok second  TRAINING
   version     1.0.0
   image       registry/examples/second
   source      v2:…  9 files, 4,… kB
   parameters  batch_size, epochs, image_size, learning_rate
   targets     DefectClassifier/v1
ok single_training  TRAINING
   version     1.0.0
   image       registry/examples/single_training
   source      v2:…  9 files, 4,… kB
   parameters  batch_size, epochs, image_size, learning_rate
   targets     DefectClassifier/v1
| error: two pipelines declare model-version/DefectClassifier/v1
|   at single_training/config.toml:18  model-version/DefectClassifier/v1
|   second/config.toml:18 has it, too. It can belong to one pipeline only: change one of the two.
[1]

$ reconciler apply single_training --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
+ image/registry/examples/single_training  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/DefectClassifier  create  does not exist yet
    name  DefectClassifier
└── + model-version/DefectClassifier/v1  create  does not exist yet
        docker_flags              ["--gpus all", "--ipc host", "--name training"]
        docker_image              registry/examples/single_training
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
  model/DefectClassifier  http://sandbox/model/…
  model-version/DefectClassifier/v1  http://sandbox/model/version/…
| creating image/registry/examples/single_training
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/single_training
| + created model/DefectClassifier
| + created model-version/DefectClassifier/v1

$ reconciler state claims
image/registry/examples/single_training  sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:13
model-version/DefectClassifier/v1  sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:18

$ writes
POST /v2/examples/single_training/blobs/uploads/ 202
DELETE /v2/examples/single_training/blobs/uploads/… 204
POST /v2/examples/single_training/blobs/uploads/ 201
POST /v2/examples/single_training/blobs/uploads/ 201
POST /v2/examples/single_training/blobs/uploads/ 201
POST /v2/examples/single_training/blobs/uploads/ 202
PATCH /v2/examples/single_training/blobs/uploads/… 202
PUT /v2/examples/single_training/blobs/uploads/… 201
POST /v2/examples/single_training/blobs/uploads/ 202
PATCH /v2/examples/single_training/blobs/uploads/… 202
PUT /v2/examples/single_training/blobs/uploads/… 201
PUT /v2/examples/single_training/manifests/sha256:… 201
PUT /v2/examples/single_training/manifests/1.0.0 201
PUT /v2/examples/single_training/manifests/latest 201
POST /api/organization/…/models 201
POST /api/model/…/versions 201

# The plan of the second pipeline changes nothing, and apply writes nothing.
$ reconciler plan second --exit-code
sandbox@sandbox/registry/examples/second (second)  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
> model/DefectClassifier  adopt  exists already; added to the state
└── > model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed  refused
        docker_image              registry/examples/single_training -> registry/examples/second  unrecorded: not in the state yet
        parameters.learning_rate  0.001 -> 0.002  unrecorded: not in the state yet
Plan: 1 to create, 2 to adopt, 1 of them with changes.
| refused: model-version/DefectClassifier/v1
|   sandbox@sandbox/registry/examples/single_training has claimed it since …, declared at single_training/config.toml:18; second/config.toml:18 declares it, too
|     take it over:  reconciler apply registry/examples/second --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
|     or declare another one at second/config.toml:18
[12]

$ reconciler apply second --yes
sandbox@sandbox/registry/examples/second (second)  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
> model/DefectClassifier  adopt  exists already; added to the state
└── > model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed  refused
        docker_image              registry/examples/single_training -> registry/examples/second  unrecorded: not in the state yet
        parameters.learning_rate  0.001 -> 0.002  unrecorded: not in the state yet
Plan: 1 to create, 2 to adopt, 1 of them with changes.
| refused: model-version/DefectClassifier/v1
|   sandbox@sandbox/registry/examples/single_training has claimed it since …, declared at single_training/config.toml:18; second/config.toml:18 declares it, too
|     take it over:  reconciler apply registry/examples/second --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
|     or declare another one at second/config.toml:18
[12]

$ reconciler deploy second --yes
second  TRAINING  1.0.0
  Trains a classifier for one model version.
sandbox@sandbox/registry/examples/second (second)  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
> model/DefectClassifier  adopt  exists already; added to the state
└── > model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed  refused
        docker_image              registry/examples/single_training -> registry/examples/second  unrecorded: not in the state yet
        parameters.learning_rate  0.001 -> 0.002  unrecorded: not in the state yet
Plan: 1 to create, 2 to adopt, 1 of them with changes.
| refused: model-version/DefectClassifier/v1
|   sandbox@sandbox/registry/examples/single_training has claimed it since …, declared at single_training/config.toml:18; second/config.toml:18 declares it, too
|     take it over:  reconciler deploy registry/examples/second --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
|     or declare another one at second/config.toml:18
[12]

$ reconciler drift second
sandbox@sandbox/registry/examples/second (second)  not in the state, so the origin of a change is unknown
  conflict model-version/DefectClassifier/v1  sandbox@sandbox/registry/examples/single_training has claimed it since …, declared at single_training/config.toml:18; second/config.toml:18 declares it, too
    changed          … by read-write-user
    apply the files  reconciler apply registry/examples/second --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
  pending image/registry/examples/second  never-published
    apply the files  reconciler apply registry/examples/second --organization sandbox --env CUSTOM --target image/registry/examples/second
Found: 1 conflict, 1 pending. 0 pipelines in sync.
| info: there is no state of sandbox@sandbox/registry/examples/second (second)
|   So nothing shows which values were applied, and which were changed since. If it was applied from another machine, use the state from there: `reconciler whoami --explain` shows where this state is. Otherwise apply the files, which adds them to the state: reconciler apply registry/examples/second --organization sandbox --env CUSTOM
[12]

$ writes
none

# The second pipeline takes it over. The first one still declares it, and is refused.
$ reconciler apply second --take model-version/DefectClassifier/v1 --yes --parallel 1
sandbox@sandbox/registry/examples/second (second)  http://sandbox
+ image/registry/examples/second  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
> model/DefectClassifier  adopt  exists already; added to the state
└── > model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed
        docker_image              registry/examples/single_training -> registry/examples/second  unrecorded: not in the state yet
        parameters.learning_rate  0.001 -> 0.002  unrecorded: not in the state yet
Plan: 1 to create, 2 to adopt, 1 of them with changes.
Done: 1 created, 2 adopted.
  model/DefectClassifier  http://sandbox/model/…
  model-version/DefectClassifier/v1  http://sandbox/model/version/…
| creating image/registry/examples/second
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/second
| > adopted model/DefectClassifier
| > adopted model-version/DefectClassifier/v1

$ reconciler apply second
sandbox@sandbox/registry/examples/second (second)  http://sandbox
Nothing to do: 3 resources unchanged.

$ writes
POST /v2/examples/second/blobs/uploads/ 202
DELETE /v2/examples/second/blobs/uploads/… 204
POST /v2/examples/second/blobs/uploads/ 201
POST /v2/examples/second/blobs/uploads/ 201
POST /v2/examples/second/blobs/uploads/ 201
POST /v2/examples/second/blobs/uploads/ 202
PATCH /v2/examples/second/blobs/uploads/… 202
PUT /v2/examples/second/blobs/uploads/… 201
POST /v2/examples/second/blobs/uploads/ 202
PATCH /v2/examples/second/blobs/uploads/… 202
PUT /v2/examples/second/blobs/uploads/… 201
PUT /v2/examples/second/manifests/sha256:… 201
PUT /v2/examples/second/manifests/1.0.0 201
PUT /v2/examples/second/manifests/latest 201
PATCH /api/model/version/… 200

$ reconciler plan single_training --exit-code
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
~ model-version/DefectClassifier/v1  update  changed outside  refused
    docker_image              registry/examples/second -> registry/examples/single_training  drift: changed outside
    parameters.learning_rate  0.002 -> 0.001  drift: changed outside
Plan: 1 to update, 2 unchanged. 2 fields changed outside.
| refused: model-version/DefectClassifier/v1
|   sandbox@sandbox/registry/examples/second has claimed it since …, declared at second/config.toml:18; single_training/config.toml:18 declares it, too
|     take it over:  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
|     or declare another one at single_training/config.toml:18
[12]

$ reconciler drift single_training
sandbox@sandbox/registry/examples/single_training (single_training)  last applied … by somebody
  conflict model-version/DefectClassifier/v1  sandbox@sandbox/registry/examples/second has claimed it since …, declared at second/config.toml:18; single_training/config.toml:18 declares it, too
    changed          … by read-write-user
    apply the files  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
Found: 1 conflict. 0 pipelines in sync.
[12]

$ reconciler apply single_training --prune --yes
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
~ model-version/DefectClassifier/v1  update  changed outside  refused
    docker_image              registry/examples/second -> registry/examples/single_training  drift: changed outside
    parameters.learning_rate  0.002 -> 0.001  drift: changed outside
Plan: 1 to update, 2 unchanged. 2 fields changed outside.
| refused: model-version/DefectClassifier/v1
|   sandbox@sandbox/registry/examples/second has claimed it since …, declared at second/config.toml:18; single_training/config.toml:18 declares it, too
|     take it over:  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --take model-version/DefectClassifier/v1
|     or declare another one at single_training/config.toml:18
[12]

$ writes
none

# Once the files of the first one declare another model version, it lets go of this one, and deletes nothing of it.
$ edit single_training/config.toml 'name = "v1"' 'name = "v2"'

$ reconciler plan single_training --prune
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
. model-version/DefectClassifier/v1  forget  not deleted: sandbox@sandbox/registry/examples/second has a claim on it
+ model-version/DefectClassifier/v2  create  does not exist yet
    docker_flags              ["--gpus all", "--ipc host", "--name training"]
    docker_image              registry/examples/single_training
    docker_tag                latest
    framework                 PYTORCH
    name                      v2
    parameters.batch_size     8
    parameters.epochs         3
    parameters.image_size     224
    parameters.learning_rate  0.001
    type                      CLASSIFICATION
Plan: 1 to create, 1 to forget, 2 unchanged.
| approve exactly this with --approve …

$ reconciler apply single_training --prune --yes --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
. model-version/DefectClassifier/v1  forget  not deleted: sandbox@sandbox/registry/examples/second has a claim on it
+ model-version/DefectClassifier/v2  create  does not exist yet
    docker_flags              ["--gpus all", "--ipc host", "--name training"]
    docker_image              registry/examples/single_training
    docker_tag                latest
    framework                 PYTORCH
    name                      v2
    parameters.batch_size     8
    parameters.epochs         3
    parameters.image_size     224
    parameters.learning_rate  0.001
    type                      CLASSIFICATION
Plan: 1 to create, 1 to forget, 2 unchanged.
Done: 1 created, 1 forgotten.
  model-version/DefectClassifier/v2  http://sandbox/model/version/…
| . forgotten model-version/DefectClassifier/v1
| + created model-version/DefectClassifier/v2

$ writes
POST /api/model/…/versions 201

$ reconciler apply single_training
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
Nothing to do: 3 resources unchanged.

$ reconciler apply second
sandbox@sandbox/registry/examples/second (second)  http://sandbox
Nothing to do: 3 resources unchanged.

$ reconciler drift --all
No drift. 2 pipelines in sync.

$ reconciler state claims
image/registry/examples/second  sandbox@sandbox/registry/examples/second  since …  second/config.toml:13
image/registry/examples/single_training  sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:13
model-version/DefectClassifier/v1      sandbox@sandbox/registry/examples/second  since …  second/config.toml:18
model-version/DefectClassifier/v2      sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:18

# destroy deletes what belongs to the pipeline, and nothing of the other one: the model has a version of it.
$ reconciler destroy second --prune --yes --parallel 1
sandbox@sandbox/registry/examples/second (second)  http://sandbox
. image/registry/examples/second  forget  not deleted by destroy; it stays in the registry
. model/DefectClassifier  forget  not deleted: sandbox@sandbox/registry/examples/single_training has a claim on it
└── - model-version/DefectClassifier/v1  delete  destroyed, as requested
Plan: 1 to delete, 2 to forget.
Done: 1 deleted, 2 forgotten.
| - deleted model-version/DefectClassifier/v1
| . forgotten image/registry/examples/second
| . forgotten model/DefectClassifier

$ writes
DELETE /api/model/version/… 204

$ reconciler apply single_training
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
Nothing to do: 3 resources unchanged.

$ reconciler state claims
image/registry/examples/single_training  sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:13
model-version/DefectClassifier/v2  sandbox@sandbox/registry/examples/single_training  since …  single_training/config.toml:18
