# A field changed in the files and outside: apply stops until an option resolves the conflict.
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

$ platform edit-version DefectClassifier v1 framework=TENSORFLOW

$ edit single_training/config.toml PYTORCH ONNX

$ reconciler plan single_training --exit-code
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
~ model-version/DefectClassifier/v1  update  changed in the files and outside
    framework  TENSORFLOW -> ONNX  conflict: changed in the files and outside
Plan: 1 to update, 2 unchanged. 1 field in conflict.
| conflict: model-version/DefectClassifier/v1  1 field changed in the files and outside
|   framework  single_training/config.toml:19
|     in the files  ONNX
|     live          TENSORFLOW
|     last applied  PYTORCH
|   Choose which value to keep:
|     keep the files' values  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours
|     keep the live values    reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --theirs
|     for this resource only  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours model-version/DefectClassifier/v1
[12]

$ reconciler apply single_training --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
~ model-version/DefectClassifier/v1  update  changed in the files and outside
    framework  TENSORFLOW -> ONNX  conflict: changed in the files and outside
Plan: 1 to update, 2 unchanged. 1 field in conflict.
| conflict: model-version/DefectClassifier/v1  1 field changed in the files and outside
|   framework  single_training/config.toml:19
|     in the files  ONNX
|     live          TENSORFLOW
|     last applied  PYTORCH
|   Choose which value to keep:
|     keep the files' values  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours
|     keep the live values    reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --theirs
|     for this resource only  reconciler apply registry/examples/single_training --organization sandbox --env CUSTOM --ours model-version/DefectClassifier/v1
[12]

$ reconciler apply single_training --ours --parallel 1
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
~ model-version/DefectClassifier/v1  update  the files win (--ours)
    framework  TENSORFLOW -> ONNX  conflict: the files win (--ours)
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
  model-version/DefectClassifier/v1  http://sandbox/model/version/…
| ~ updated model-version/DefectClassifier/v1

$ show single_training/config.toml version|image_tag
version = "1.0"
description = "Trains a classifier for one model version."
image_tag = ""
[model_version]

$ reconciler plan single_training --exit-code
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
Nothing to do: 3 resources unchanged.
