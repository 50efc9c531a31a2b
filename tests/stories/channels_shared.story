# Two environments without channels share latest: a deploy to TEST changes what LIVE runs.
$ training clip

$ edit reconciler.toml 'channel = "test"' ''

$ edit reconciler.toml 'channel = "live"' ''

$ reconciler validate clip/training
ok training (clip/training)  TRAINING
   version     1.0.0
   image       registry/team/training-clip
   source      v2:…  9 files, 4,… kB
   parameters  batch_size, epochs, image_size, learning_rate
   targets     clip/v1
| warning: TEST and LIVE share the tag latest: a deploy to one changes what both run
|   at reconciler.toml:7
|   Give each environment a channel in reconciler.toml, or share it on purpose: [environments.LIVE] follows = "TEST".

$ reconciler apply clip/training --env TEST --yes --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
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
  model/clip  http://test/model/…
  model-version/clip/v1  http://test/model/version/…
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

$ reconciler apply clip/training --env LIVE --yes --parallel 1
my-org@LIVE/registry/team/training-clip (clip/training)  http://live
> image/registry/team/training-clip  adopt  published
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
Plan: 2 to create, 1 to adopt.
Done: 2 created, 1 adopted.
  model/clip  http://live/model/…
  model-version/clip/v1  http://live/model/version/…
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
  clip/training/config.toml now has version 1.0.1 and image_tag latest  commit this file
| warning: this also changes what LIVE runs
|   at image/registry/team/training-clip
|   It moves the tag latest, which LIVE has, too. Give each environment a channel in reconciler.toml, or declare there that one follows the other.
| updating image/registry/team/training-clip
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.0.1
| ~ updated image/registry/team/training-clip

# The files have 1.0.1 by now, and LIVE runs it.
$ reconciler status clip/training --env LIVE
pipeline                                            environment       runs   applied  files  image                drift    last apply
registry/team/training-clip (clip/training)  my-org@LIVE       1.0.1  1.0.0    1.0.1  sha256:…  1 drift  just now by somebody
                                                    my-test-org@TEST  1.0.1  1.0.1    1.0.1  sha256:…  in sync  just now by somebody

$ reconciler drift clip/training --env LIVE
my-org@LIVE/registry/team/training-clip (clip/training)  last applied … by somebody
  drift image/registry/team/training-clip#digest  latest was moved by TEST's apply of 1.0.1
    in the files  sha256:…
    last applied  sha256:…
    live          sha256:…
    record it     reconciler apply registry/team/training-clip --organization my-org --env LIVE --target image/registry/team/training-clip
Found: 1 drift. 0 pipelines in sync.
[11]

# A rollback of TEST would change LIVE, too: without a terminal it needs --yes.
$ reconciler rollback clip/training --env TEST --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
~ image/registry/team/training-clip  update  tag-moved: latest points at sha256:…; re-tagged, no build
    channel  latest          pending: the tag latest is at 1.0.1, not yet at this image
    version  1.0.1 -> 1.0.0  pending: differs from that state version
Plan: 1 to update, 2 unchanged.
| rolling back to version 1.0.0, applied … by somebody (serial …)
| warning: this also changes what LIVE runs
|   at image/registry/team/training-clip
|   It moves the tag latest, which LIVE has, too. Give each environment a channel in reconciler.toml, or declare there that one follows the other.
| refused: the rollback also changes what LIVE runs; without a terminal this needs --yes
[12]

# An apply to LIVE records what runs there.
$ reconciler apply clip/training --env LIVE --parallel 1
my-org@LIVE/registry/team/training-clip (clip/training)  http://live
> image/registry/team/training-clip  adopt  latest was moved by TEST's apply of 1.0.1
    digest  sha256:… -> sha256:…  drift: latest was moved by TEST's apply of 1.0.1
Plan: 1 to adopt, 2 unchanged. 1 field changed outside.
Done: 1 adopted.
| > adopted image/registry/team/training-clip

$ reconciler drift clip/training --env LIVE
No drift. 1 pipeline in sync.

# LIVE follows TEST on purpose: no warning, and no drift.
$ edit reconciler.toml 'token = "LIVE_TOKEN"' 'token = "LIVE_TOKEN"\nfollows = "TEST"'

$ reconciler validate clip/training
ok training (clip/training)  TRAINING
   version     1.0.1
   image       registry/team/training-clip
   source      v2:…  9 files, 4,… kB
   parameters  batch_size, epochs, image_size, learning_rate
   targets     clip/v1

$ edit clip/training/steps.py 'new epoch' 'newer epoch'

$ reconciler apply clip/training --env TEST --bump patch --yes --parallel 1
my-test-org@TEST/registry/team/training-clip (clip/training)  http://test
~ image/registry/team/training-clip  update  source-changed: steps.py changed
    source_key  v2:… -> v2:…  pending: the files changed
    version     1.0.1 -> 1.0.2                              pending: the files changed
Plan: 1 to update, 2 unchanged.
Done: 1 updated.
  clip/training/config.toml now has version 1.0.2 and image_tag latest  commit this file
| updating image/registry/team/training-clip
|   copy … already there
|   copy … already there
|   copy … already there
|   push … sent
|   push … sent
|   tag latest -> 1.0.2
| ~ updated image/registry/team/training-clip

$ reconciler drift clip/training --env LIVE
No drift. 1 pipeline in sync.

$ reconciler status clip/training --env LIVE
pipeline                                            environment       runs   applied  files  image                drift         last apply
registry/team/training-clip (clip/training)  my-org@LIVE       1.0.2  1.0.1    1.0.2  sha256:…  follows TEST  just now by somebody
                                                    my-test-org@TEST  1.0.2  1.0.2    1.0.2  sha256:…  in sync       just now by somebody
