# A repository of several pipelines: after an edit of one, only that one gets a new version.
$ example dataset_cleanup

$ copy dataset_cleanup duplicates

$ edit duplicates/config.toml 'name = "dataset_cleanup"' 'name = "duplicates"'

$ edit duplicates/config.toml 'examples/dataset_cleanup' 'examples/duplicates'

$ copy dataset_cleanup blurred

$ edit blurred/config.toml 'name = "dataset_cleanup"' 'name = "blurred"'

$ edit blurred/config.toml 'examples/dataset_cleanup' 'examples/blurred'

$ git init

$ git add .

$ git commit --quiet --message 'Three pipelines'

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 3 pipelines: 3 to change.
Resources: 21 to create.
+ image       create  never-published     3 pipelines: blurred, dataset_cleanup, duplicates
+ processing  create  does not exist yet  3 pipelines: blurred, dataset_cleanup, duplicates
+ input       create  does not exist yet  15 resources in 3 pipelines: blurred, dataset_cleanup, duplicates
Done: 3 applied.
Published 1.0.0 for 3 pipelines: blurred, dataset_cleanup, duplicates
| [1/3] applied  blurred  1.0.0
| [2/3] applied  dataset_cleanup  1.0.0
| [3/3] applied  duplicates  1.0.0

# Two are edited, one of them so that it cannot be read. Both are selected, by git and by the state.
$ edit duplicates/steps.py 'def ' 'def  '

$ edit blurred/config.toml '[docker]' '[docker'

$ reconciler list --changed=HEAD --explain
folder      stack       type                      version  gpu  why
blurred     -           -                         -        -    its config.toml has errors
duplicates  duplicates  DATASET_VERSION_CREATION  1.0      -    duplicates/steps.py differs from HEAD (…)
| warning: config.toml cannot be read
|   at blurred/config.toml
|   Its values are unknown. Run:  reconciler validate blurred

$ reconciler list --stale
folder      stack       type                      version  gpu
blurred     -           -                         -        -
duplicates  duplicates  DATASET_VERSION_CREATION  1.0      -
| warning: config.toml cannot be read
|   at blurred/config.toml
|   Its values are unknown. Run:  reconciler validate blurred

# --bump gives a new version only where the source differs. What fails is said at the end, and stops nothing else.
$ reconciler apply --all --bump patch --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 3 pipelines: 1 to change, 1 in sync, 1 with errors.
Resources: 1 to update, 6 unchanged.
~ image  update  source_key  v2:… -> v2:…  duplicates
~ image  update  version     1.0.0 -> 1.0.1                              duplicates
Published 1.0.1 for duplicates
| info: nothing needs a new version: 1.0.0 is published from this source
|   in dataset_cleanup
|   at image/registry/examples/dataset_cleanup
|   Publish it again with --force-bump.
| error: config.toml is not valid TOML
|   in blurred
|   at blurred/config.toml:13
|   line 13, column 8: Expected ']' at the end of a table declaration. The rest of the file was not checked.
| [1/1] applied  duplicates  1.0.1
| Not finished: 1 failed, 1 applied, 1 unchanged.
| failed: config.toml is not valid TOML
|   in blurred
|   at blurred/config.toml:13
|   line 13, column 8: Expected ']' at the end of a table declaration. The rest of the file was not checked.
|     reconciler apply blurred --organization sandbox --env CUSTOM --bump patch
| 1 pipeline left. Solve the problems above first: the same command then does only what is left.
[1]

$ edit blurred/config.toml '[docker' '[docker]'

# The same again does what is left: nothing.
$ reconciler apply --all --bump patch --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 3 pipelines: 3 in sync.
Done: 3 unchanged.
| info: nothing needs a new version: 1.0.0 is published from this source
|   in 2 pipelines: blurred, dataset_cleanup
|   Publish it again with --force-bump.
| info: nothing needs a new version: 1.0.1 is published from this source
|   in duplicates
|   at image/registry/examples/duplicates
|   Publish it again with --force-bump.
