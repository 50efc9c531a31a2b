# Without the platform, plan exits with 13. The next plan is complete again.
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

$ fail GET /models/find 500

$ reconciler plan single_training --exit-code
| error: model/DefectClassifier could not be read
|   at model/DefectClassifier
|   sandbox failed with 500: a fault rule of the sandbox returned 500.
|   run the same command again; if it fails again, contact Picsellia's support
[13]

$ fail HEAD /manifests/ 403

$ reconciler plan single_training --exit-code
| error: image/registry/examples/single_training could not be read
|   at image/registry/examples/single_training
|   registry does not allow reading registry/examples/single_training:1.0.0.
|   you are logged in without that permission: request it, or log in as another user with docker login registry
[13]

$ reconciler plan single_training --exit-code
sandbox@sandbox/registry/examples/single_training (single_training)  http://sandbox
Nothing to do: 3 resources unchanged.
