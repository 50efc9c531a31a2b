# Somebody's change is taken over: into config.toml, and as a patch for what a class says.
$ example dataset_cleanup

$ reconciler apply dataset_cleanup --parallel 1
sandbox@sandbox/dataset_cleanup  http://sandbox
+ image/registry/examples/dataset_cleanup  create  never-published
    channel     latest
    platform    linux/amd64
    source_key  sha256:…
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
|   copy … taken over from registry/base/python
|   copy … taken over from registry/base/python
|   copy … taken over from registry/base/python
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
PUT /v2/examples/dataset_cleanup/manifests/1.0.0 201
PUT /v2/examples/dataset_cleanup/manifests/latest 201
POST /api/organization/…/processings 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201
POST /api/processing/…/inputs 201

$ platform edit-processing dataset_cleanup default_cpu=64 description="two \"words\""

$ platform edit-input dataset_cleanup archive required=true inference_type_constraint=SEGMENTATION

$ platform delete-input dataset_cleanup report_title

$ platform add-input dataset_cleanup stray input_type=NUMBER required=false

$ platform edit-processing dataset_cleanup 'default_parameters={"datalake":"other","data_tag":"cleaned","smallest_side":128,"least_sharpness":13,"drop_duplicates":true,"margin":2}'

# What is computed is refused, and nothing is written then.
$ reconciler adopt dataset_cleanup processing/dataset_cleanup#target processing/dataset_cleanup#default_cpu
| error: processing/dataset_cleanup#target is nothing that a file says as it is
|   at processing/dataset_cleanup
|   It follows from metadata.type.
[1]

# One field of config.toml: only its value changes, written as the file writes it.
$ reconciler adopt dataset_cleanup processing/dataset_cleanup#default_cpu
|   @@ -13,7 +13,7 @@
|    [docker]
|    image_name = "registry/examples/dataset_cleanup"
|    image_tag = ""
|   -cpu = "4"
|   +cpu = "64"
|    gpu = "0"
|    
|    # The sandbox's registry and a base image in it: no Docker Engine is needed to try this pipeline.
| error: a bug in reconciler: NameError: name 'warnings' is not defined
|   Nothing that you did should lead here. Please report it with what follows.
|   Traceback (most recent call last):
|     File "/work/main/reconciler/cli/__init__.py", line 91, in run
|       code = group.main(args=arguments, prog_name="reconciler", standalone_mode=False)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1560, in main
|       rv = self.invoke(ctx)
|            ^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 2054, in invoke
|       return _process_result(sub_ctx.command.invoke(sub_ctx))
|                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1414, in invoke
|       return ctx.invoke(self.callback, **ctx.params)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 911, in invoke
|       return callback(*args, **kwargs)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 184, in with_where
|       return command(where=Where(organization, environment), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 210, in with_reading
|       return command(reading=Reading(python, static_only, class_timeout), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/adopt.py", line 59, in command
|       write(adopted)
|     File "/work/main/reconciler/adopting.py", line 123, in write
|       with locked(path):
|     File "/root/.pyenv/versions/3.11.7/lib/python3.11/contextlib.py", line 137, in __enter__
|       return next(self.gen)
|              ^^^^^^^^^^^^^^
|     File "/work/main/reconciler/files.py", line 41, in locked
|       with warnings.catch_warnings():
|            ^^^^^^^^
|   NameError: name 'warnings' is not defined
[1]

$ show dataset_cleanup/config.toml cpu|description
description = "Copies a dataset version without blurred and duplicated images."
cpu = "4"

$ reconciler adopt dataset_cleanup processing/dataset_cleanup#default_cpu
|   @@ -13,7 +13,7 @@
|    [docker]
|    image_name = "registry/examples/dataset_cleanup"
|    image_tag = ""
|   -cpu = "4"
|   +cpu = "64"
|    gpu = "0"
|    
|    # The sandbox's registry and a base image in it: no Docker Engine is needed to try this pipeline.
| error: a bug in reconciler: NameError: name 'warnings' is not defined
|   Nothing that you did should lead here. Please report it with what follows.
|   Traceback (most recent call last):
|     File "/work/main/reconciler/cli/__init__.py", line 91, in run
|       code = group.main(args=arguments, prog_name="reconciler", standalone_mode=False)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1560, in main
|       rv = self.invoke(ctx)
|            ^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 2054, in invoke
|       return _process_result(sub_ctx.command.invoke(sub_ctx))
|                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1414, in invoke
|       return ctx.invoke(self.callback, **ctx.params)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 911, in invoke
|       return callback(*args, **kwargs)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 184, in with_where
|       return command(where=Where(organization, environment), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 210, in with_reading
|       return command(reading=Reading(python, static_only, class_timeout), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/adopt.py", line 59, in command
|       write(adopted)
|     File "/work/main/reconciler/adopting.py", line 123, in write
|       with locked(path):
|     File "/root/.pyenv/versions/3.11.7/lib/python3.11/contextlib.py", line 137, in __enter__
|       return next(self.gen)
|              ^^^^^^^^^^^^^^
|     File "/work/main/reconciler/files.py", line 41, in locked
|       with warnings.catch_warnings():
|            ^^^^^^^^
|   NameError: name 'warnings' is not defined
[1]

# Everything else.
$ reconciler adopt dataset_cleanup
|   @@ -1,7 +1,7 @@
|    [metadata]
|    name = "dataset_cleanup"
|    version = "1.0"
|   -description = "Copies a dataset version without blurred and duplicated images."
|   +description = "two \"words\""
|    type = "DATASET_VERSION_CREATION"
|    
|    [execution]
|   @@ -13,7 +13,7 @@
|    [docker]
|    image_name = "registry/examples/dataset_cleanup"
|    image_tag = ""
|   -cpu = "4"
|   +cpu = "64"
|    gpu = "0"
|    
|    # The sandbox's registry and a base image in it: no Docker Engine is needed to try this pipeline.
| error: a bug in reconciler: NameError: name 'warnings' is not defined
|   Nothing that you did should lead here. Please report it with what follows.
|   Traceback (most recent call last):
|     File "/work/main/reconciler/cli/__init__.py", line 91, in run
|       code = group.main(args=arguments, prog_name="reconciler", standalone_mode=False)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1560, in main
|       rv = self.invoke(ctx)
|            ^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 2054, in invoke
|       return _process_result(sub_ctx.command.invoke(sub_ctx))
|                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 1414, in invoke
|       return ctx.invoke(self.callback, **ctx.params)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/.venv/lib/python3.11/site-packages/click/core.py", line 911, in invoke
|       return callback(*args, **kwargs)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 184, in with_where
|       return command(where=Where(organization, environment), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/options.py", line 210, in with_reading
|       return command(reading=Reading(python, static_only, class_timeout), **rest)
|              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
|     File "/work/main/reconciler/cli/adopt.py", line 59, in command
|       write(adopted)
|     File "/work/main/reconciler/adopting.py", line 123, in write
|       with locked(path):
|     File "/root/.pyenv/versions/3.11.7/lib/python3.11/contextlib.py", line 137, in __enter__
|       return next(self.gen)
|              ^^^^^^^^^^^^^^
|     File "/work/main/reconciler/files.py", line 41, in locked
|       with warnings.catch_warnings():
|            ^^^^^^^^
|   NameError: name 'warnings' is not defined
[1]

$ show dataset_cleanup/config.toml cpu|description
description = "Copies a dataset version without blurred and duplicated images."
cpu = "4"

$ writes
none
