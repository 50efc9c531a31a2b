# Each environment has a channel of its own: neither a deploy nor a rollback of TEST changes what LIVE runs.
$ training clip

$ reconciler validate clip/training
ok training (clip/training)  TRAINING
   version     1.0.0
   image       registry/team/training-clip
   source      v2:…  9 files, 4,… kB
   parameters  batch_size, epochs, image_size, learning_rate
   targets     clip/v1

$ reconciler apply clip/training --env TEST --yes --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
+ image/registry/team/training-clip  create  never-published
    channel     test
    platform    linux/amd64
    source_key  v2:…
    version     1.0.0
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags              ["--gpus all", "--ipc host", "--name training"]
        docker_image              registry/team/training-clip
        docker_tag                test
        framework                 PYTORCH
        name                      v1
        parameters.batch_size     8
        parameters.epochs         3
        parameters.image_size     224
        parameters.learning_rate  0.001
        type                      CLASSIFICATION
Plan: 3 to create.
Done: 3 created.
  model/clip  http://test/model/…
  model-version/clip/v1  http://test/model/version/…
| creating image/registry/team/training-clip
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   copy … mounted from registry/base/python
|   push … sent
|   push … sent
|   tag test -> 1.0.0
| + created image/registry/team/training-clip
| + created model/clip
| + created model-version/clip/v1

$ reconciler apply clip/training --env LIVE --yes --parallel 1
my-org@LIVE/registry/team/training-clip (clip/training)  http://live
> image/registry/team/training-clip  adopt  new-tag: live does not exist yet; tagged, no build
    channel  live  unrecorded: not in the state yet
+ model/clip  create  does not exist yet
    name  clip
└── + model-version/clip/v1  create  does not exist yet
        docker_flags              ["--gpus all", "--ipc host", "--name training"]
        docker_image              registry/team/training-clip
        docker_tag                live
        framework                 PYTORCH
        name                      v1
        parameters.batch_size     8
        parameters.epochs         3
        parameters.image_size     224
        parameters.learning_rate  0.001
        type                      CLASSIFICATION
Plan: 2 to create, 1 to adopt, 1 of them with changes.
Done: 2 created, 1 adopted.
  model/clip  http://live/model/…
  model-version/clip/v1  http://live/model/version/…
| adopting image/registry/team/training-clip
|   tag live -> 1.0.0
| > adopted image/registry/team/training-clip
| + created model/clip
| + created model-version/clip/v1

$ edit clip/training/steps.py 'epoch {' 'new epoch {'

$ reconciler apply clip/training --env TEST --bump patch --yes --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
~ image/registry/team/training-clip  update  source-changed: steps.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.0 -> 1.0.1                              pending: the files changed
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
  clip/training/config.toml now has version 1.0.1  commit this file
| updating image/registry/team/training-clip
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag test -> 1.0.1
| ~ updated image/registry/team/training-clip

$ reconciler status clip/training --env LIVE
pipeline                                            environment       runs   applied  files  image                drift      last apply
registry/team/training-clip (clip/training)  my-org@LIVE       1.0.0  1.0.0    1.0.1  sha256:…  1 pending  just now by somebody
                                                    my-test-org@TEST  1.0.1  1.0.1    1.0.1  sha256:…  in sync    just now by somebody

$ reconciler apply clip/training --env LIVE --yes --parallel 1
my-org@LIVE/registry/team/training-clip (clip/training)  http://live
~ image/registry/team/training-clip  update  tag-moved: live points at sha256:…; re-tagged, no build
    channel  live            pending: the tag live is at 1.0.0, not yet at this image
    version  1.0.0 -> 1.0.1  pending: the files changed
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
| updating image/registry/team/training-clip
|   tag live -> 1.0.1
| ~ updated image/registry/team/training-clip

$ reconciler rollback clip/training --env TEST --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
~ image/registry/team/training-clip  update  tag-moved: test points at sha256:…; re-tagged, no build
    channel  test            pending: the tag test is at 1.0.1, not yet at this image
    version  1.0.1 -> 1.0.0  pending: differs from that state version
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| updating image/registry/team/training-clip
|   tag test -> 1.0.0
| ~ updated image/registry/team/training-clip
|   your files are unchanged: the next apply brings their values back

$ reconciler status clip/training --env LIVE
pipeline                                            environment       runs   applied  files  image                drift      last apply
registry/team/training-clip (clip/training)  my-org@LIVE       1.0.1  1.0.1    1.0.1  sha256:…  in sync    just now by somebody
                                                    my-test-org@TEST  1.0.0  1.0.0    1.0.1  sha256:…  1 pending  just now by somebody

$ reconciler drift clip/training --env LIVE
No drift. 1 pipeline in sync.
