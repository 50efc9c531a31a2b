# destroy deletes a pipeline's resources, children first. Models stay without --prune.
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

$ reconciler destroy dataset_cleanup
sandbox@sandbox/dataset_cleanup  http://sandbox
- processing/dataset_cleanup  delete  destroyed, as requested
├── - input/dataset_cleanup/archive  delete  destroyed, as requested
├── - input/dataset_cleanup/dataset  delete  destroyed, as requested
├── - input/dataset_cleanup/embedding_model  delete  destroyed, as requested
├── - input/dataset_cleanup/report_title  delete  destroyed, as requested
└── - input/dataset_cleanup/sample_size  delete  destroyed, as requested
. image/registry/examples/dataset_cleanup  forget  not deleted by destroy; it stays in the registry
Plan: 6 to delete, 1 to forget.
| refused: the plan deletes or replaces resources; without a terminal this needs --yes
[12]

$ reconciler destroy dataset_cleanup --yes --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
- processing/dataset_cleanup  delete  destroyed, as requested
├── - input/dataset_cleanup/archive  delete  destroyed, as requested
├── - input/dataset_cleanup/dataset  delete  destroyed, as requested
├── - input/dataset_cleanup/embedding_model  delete  destroyed, as requested
├── - input/dataset_cleanup/report_title  delete  destroyed, as requested
└── - input/dataset_cleanup/sample_size  delete  destroyed, as requested
. image/registry/examples/dataset_cleanup  forget  not deleted by destroy; it stays in the registry
Plan: 6 to delete, 1 to forget.
Done: 6 deleted, 1 forgotten.
| - deleted input/dataset_cleanup/archive
| - deleted input/dataset_cleanup/dataset
| - deleted input/dataset_cleanup/embedding_model
| - deleted input/dataset_cleanup/report_title
| - deleted input/dataset_cleanup/sample_size
| - deleted processing/dataset_cleanup
| . forgotten image/registry/examples/dataset_cleanup

$ writes
DELETE /api/processing/…/inputs/archive 204
DELETE /api/processing/…/inputs/dataset 204
DELETE /api/processing/…/inputs/embedding_model 204
DELETE /api/processing/…/inputs/report_title 204
DELETE /api/processing/…/inputs/sample_size 204
DELETE /api/processing/… 204

$ reconciler destroy dataset_cleanup
sandbox@sandbox/dataset_cleanup  http://sandbox
Nothing to do: 0 resources unchanged.
| info: it is already destroyed, so there is nothing to do
|   `reconciler state history STACK` shows when, and what it had.

$ writes
none

$ example single_training

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

$ reconciler destroy single_training --yes --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
. model/DefectClassifier  forget  not deleted by destroy; it stays on the platform
. model-version/DefectClassifier/v1  forget  not deleted by destroy; it stays on the platform
. image/registry/examples/single_training  forget  not deleted by destroy; it stays in the registry
Plan: 3 to forget.
Done: 3 forgotten.
| . forgotten model/DefectClassifier
| . forgotten model-version/DefectClassifier/v1
| . forgotten image/registry/examples/single_training

$ writes
none

$ reconciler apply single_training --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
> image/registry/examples/single_training  adopt  published
> model/DefectClassifier  adopt  exists already; added to the state
└── > model-version/DefectClassifier/v1  adopt  exists already; added to the state
Plan: 3 to adopt.
Done: 3 adopted.
  model/DefectClassifier  http://sandbox/model/…
  model-version/DefectClassifier/v1  http://sandbox/model/version/…
| info: the state of sandbox@sandbox/registry/examples/single_training (single_training) is empty since …
|   The resources were destroyed or removed from the state. The earlier versions are still there: reconciler state history sandbox@sandbox/registry/examples/single_training
| > adopted image/registry/examples/single_training
| > adopted model/DefectClassifier
| > adopted model-version/DefectClassifier/v1

$ reconciler destroy single_training --prune --yes --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
. image/registry/examples/single_training  forget  not deleted by destroy; it stays in the registry
- model/DefectClassifier  delete  destroyed, as requested
└── - model-version/DefectClassifier/v1  delete  destroyed, as requested
Plan: 2 to delete, 1 to forget.
Done: 2 deleted, 1 forgotten.
| - deleted model-version/DefectClassifier/v1
| . forgotten image/registry/examples/single_training
| - deleted model/DefectClassifier

$ writes
DELETE /api/model/version/… 204
DELETE /api/model/… 204
