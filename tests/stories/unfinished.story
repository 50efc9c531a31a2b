# A create fails half-way, and a user creates an object of that name. Its origin is unknown, so nothing is
# overwritten until an option resolves the conflict.
$ example single_training

$ fail POST /versions$ 500

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
| creating image/registry/examples/single_training
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag latest -> 1.0.0
| + created image/registry/examples/single_training
| + created model/DefectClassifier
| failed: creating model-version/DefectClassifier/v1
|   sandbox failed with 500: a fault rule of the sandbox returned 500.
|   run the same command again; if it fails again, contact Picsellia's support
| Not finished: 2 resources done, 1 failed, 0 not started. Run the same command again to finish.
[1]

$ platform create-version DefectClassifier v1 framework=ONNX type=CLASSIFICATION docker_image=somebody/elses docker_tag=latest

$ reconciler apply single_training --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
> model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed
    docker_flags              [] -> ["--gpus all", "--ipc host", "--name training"]  conflict: not as sent by an interrupted run
    docker_image              somebody/elses -> registry/examples/single_training  conflict: not as sent by an interrupted run
    framework                 ONNX -> PYTORCH  conflict: not as sent by an interrupted run
    parameters.batch_size     (none) -> 8      conflict: not as sent by an interrupted run
    parameters.epochs         (none) -> 3      conflict: not as sent by an interrupted run
    parameters.image_size     (none) -> 224    conflict: not as sent by an interrupted run
    parameters.learning_rate  (none) -> 0.001  conflict: not as sent by an interrupted run
Plan: 1 to adopt, 1 of them with changes, 2 unchanged. 7 fields in conflict.
| conflict: model-version/DefectClassifier/v1  7 fields not as sent by an interrupted run
|   docker_flags  
|     in the files  ["--gpus all", "--ipc host", "--name training"]
|     live          []
|   docker_image  single_training/config.toml:13
|     in the files  registry/examples/single_training
|     live          somebody/elses
|   framework  single_training/config.toml:19
|     in the files  PYTORCH
|     live          ONNX
|   parameters.batch_size  single_training/utils/parameters.py:9
|     in the files  8
|     live          (none)
|   parameters.epochs  single_training/utils/parameters.py:8
|     in the files  3
|     live          (none)
|   parameters.image_size  single_training/utils/parameters.py:10
|     in the files  224
|     live          (none)
|   parameters.learning_rate  single_training/utils/parameters.py:11
|     in the files  0.001
|     live          (none)
|   Choose which value to keep:
|     keep the files' values  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours
|     keep the live values    reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --theirs
|     for this resource only  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours model-version/DefectClassifier/v1
[12]

$ reconciler apply single_training --ours --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
> model-version/DefectClassifier/v1  adopt  exists already; added to the state and changed
    docker_flags              [] -> ["--gpus all", "--ipc host", "--name training"]  conflict: the files win (--ours)
    docker_image              somebody/elses -> registry/examples/single_training  conflict: the files win (--ours)
    framework                 ONNX -> PYTORCH  conflict: the files win (--ours)
    parameters.batch_size     (none) -> 8      conflict: the files win (--ours)
    parameters.epochs         (none) -> 3      conflict: the files win (--ours)
    parameters.image_size     (none) -> 224    conflict: the files win (--ours)
    parameters.learning_rate  (none) -> 0.001  conflict: the files win (--ours)
Plan: 1 to adopt, 1 of them with changes, 2 unchanged.
Done: 1 adopted.
  model-version/DefectClassifier/v1  http://sandbox/model/version/…
| > adopted model-version/DefectClassifier/v1

$ reconciler plan single_training --exit-code
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
Nothing to do: 3 resources unchanged.

# The first run left a write open. The last one settled it.
$ reconciler state history single_training
7-9  …  somebody  reconciler apply single_training --ours --parallel 1
    1.0.0  applied
    + model-version/DefectClassifier/v1
1-6  …  somebody  reconciler apply single_training --parallel 1
    1.0.0  failed
    + image/registry/examples/single_training
    + model/DefectClassifier
    left open model-version/DefectClassifier/v1
