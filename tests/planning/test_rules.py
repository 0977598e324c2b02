"""The rules of a plan, on fingerprints that are made up."""

import pytest
from made_up import DIGITS, GRAY, PHOTOS, SCANS

from ssljax.data import augment
from ssljax.planning import evidence, kept, photographs, rules
from ssljax.planning.rules import Asked
from ssljax.settings import recipes

HALF_HOUR = Asked(30.0, 'auto', {})


def regime(fp, size):
    return rules.Regime(fp, size, photographs.suits(fp, size))


def values(found):
    return {d.field: d.value for d in found}


@pytest.mark.parametrize(
    'fp, minutes, size',
    [
        (PHOTOS, 10, 32), (PHOTOS, 30, 32), (PHOTOS, 90, 48), (SCANS, 90, 0), (DIGITS, 1, 0),
        (PHOTOS._replace(device='gpu'), 30, 96), (PHOTOS._replace(low=20, side=26), 10, 24),
    ],
)  # fmt: skip
def test_the_size_is_the_stored_one_or_the_most_for_the_device_and_the_time(fp, minutes, size):
    assert rules.image_size(fp, minutes)[0] == size


@pytest.mark.parametrize('size, depth, width', [(8, 2, 16), (28, 3, 16), (32, 3, 16), (48, 4, 32), (64, 4, 32)])
def test_the_network_leaves_a_small_map(size, depth, width):
    found = values(rules.backbone(regime(GRAY, size)))
    assert (found['backbone.depth'], found['backbone.width']) == (depth, width) and size // 2**depth >= 2


@pytest.mark.parametrize('fp, size', [(PHOTOS, 48), (SCANS, 28), (DIGITS, 8), (GRAY, 48)])
def test_augmentations_suit_the_images(fp, size):
    found = values(rules.augmentation(regime(fp, size), HALF_HOUR))
    channels = 1 if fp.gray else fp.channels
    for field, spec in found.items():
        augment.suits(spec, (size, size, channels), field)
    text = ' '.join(found.values())
    assert ('grayscale' in text) == (channels == 3) == ('rand_augment' in text)
    assert ('color_jitter(0.4, 0.4, 0.2' in text) == (channels == 3)  # saturation and hue


def test_flips_go_by_what_is_given_or_else_by_the_names_of_the_classes():
    assert rules.flips(PHOTOS, 'auto')[0] and not rules.flips(DIGITS, 'auto')[0]
    assert not rules.flips(PHOTOS._replace(classes=('turn left', 'turn right')), 'auto')[0]
    assert rules.flips(DIGITS, 'yes')[0] and not rules.flips(PHOTOS, 'no')[0]
    for asked, there in (('yes', True), ('no', False)):
        found = values(rules.augmentation(regime(PHOTOS, 48), Asked(30.0, asked, {})))
        assert all(('flip' in spec) == there for spec in found.values())


@pytest.mark.parametrize(
    'per_class, first', [(1, 'pretrain'), (3, 'joint'), (30, 'joint'), (100, 'pretrain'), (600, 'pretrain')]
)
def test_what_is_kept_first_is_what_led_with_so_many_labels(per_class, first):
    parts, why = evidence.order(per_class)
    assert parts[0] == first and set(parts) == {'pretrain', 'joint'} and 'Fashion-MNIST' in why


def test_the_joint_method_is_the_one_with_the_highest_mean_lead():
    assert evidence.joint(30, True)[0] == 'mixmatch' and evidence.joint(30, False)[0] == 'flexmatch'
    name, why = evidence.joint(600, True)
    assert name == 'fixmatch' and '+0.4 points on Fashion-MNIST with 100 labels' in why


def test_what_does_not_suit_the_data_is_left_out_and_said():
    few = PHOTOS._replace(counts=(15, 15), unlabeled=0, test=0)
    parts, why = rules.parts(regime(few, 32), rules.Sets(20, 5, 5))
    assert parts == () and 'no joint method' in why[1] and 'no pretraining: 20 images' in why[2]
    assert rules.parts(regime(DIGITS, 8), rules.Sets(1000, 200, 300))[0] == ('pretrain',)
    assert rules.parts(regime(GRAY, 32), rules.Sets(48, 12, 700))[0] == ('joint', 'pretrain')


def test_the_images_of_a_run_are_counted_as_they_are_set_aside():
    assert rules.sets(PHOTOS, {'data.labels': 'all', 'data.val': '20%'}) == (48, 12, 700)
    small = PHOTOS._replace(test=0)
    fields = values(rules.data(small, HALF_HOUR))
    assert fields['data.test'] == '30%' and rules.sets(small, fields) == (34, 8, 18)
    assert rules.sets(DIGITS, {'data.labels': '5/class', 'data.val': '200', 'data.test': '20%'}) == (50, 200, 360)


def test_uneven_classes_are_selected_by_balanced_accuracy():
    assert rules.selection(PHOTOS) == []
    (found,) = rules.selection(PHOTOS._replace(counts=(60, 20)))
    assert (found.field, found.value) == ('select', 'balanced_accuracy') and '3.0 times' in found.why


def test_every_batch_divides_over_the_devices():
    for devices in (1, 3, 8):
        found = values(
            rules.batches(regime(PHOTOS._replace(device='gpu', devices=devices), 32), rules.Sets(48, 12, 700))
        )
        assert all(size % devices == 0 and size > 0 for size in found.values())


OF_PHOTOGRAPHS = [PHOTOS, PHOTOS._replace(classes=tuple('abcdefghij'), counts=(40,) * 10), PHOTOS._replace(channels=4)]
NOT = [GRAY, SCANS, PHOTOS._replace(device='gpu')]


@pytest.mark.parametrize('fp, size, suits', [*((fp, 32, True) for fp in OF_PHOTOGRAPHS), (PHOTOS, 28, False),
                                             *((fp, 32, False) for fp in NOT)])  # fmt: skip
def test_photographs_in_colour_on_a_cpu_are_pretrained_as_was_measured(fp, size, suits):
    assert photographs.suits(fp, size) == suits
    sets, own = rules.Sets(48, 12, 700), regime(fp, size)
    found = [*rules.backbone(own), *rules.batches(own, sets), *rules.augmentation(own, HALF_HOUR)]
    found = values([*found, *rules.rates(own, {})])
    assert (found['backbone.name'] == 'resnet18' and found.get('backbone.width') == 16) == suits
    assert (found.get('pretrain.optim.name') == 'muon') == ('size=20' in found['pretrain.augment']) == suits
    assert (rules.parts(own, sets)[0] == ('pretrain',)) == suits


def test_a_plan_of_ten_classes_of_photographs_is_the_recipe_that_was_measured():
    own, recipe = regime(OF_PHOTOGRAPHS[1], 32), recipes.recipe('few_labels_cifar10')
    found = [*rules.backbone(own), *rules.batches(own, rules.Sets(320, 80, 700)), rules.pretext(own)]
    found = values([*found, *rules.augmentation(own, HALF_HOUR._replace(flips='yes')), *rules.rates(own, {})])
    fields = {field for field in found if field.startswith(('backbone.', 'pretrain.', 'transfer.scratch.'))}
    assert len(fields) == 15 and {field: kept.get(recipe, field) for field in fields} == {f: found[f] for f in fields}


@pytest.mark.parametrize(
    'given, allowed',
    [({}, True), ({'pretrain.method': 'none'}, True), ({'backbone.name': 'resnet18'}, True),
     ({'backbone.name': 'alexnet'}, False), ({'pretrain.method': 'rotation'}, False),
     ({'backbone.name': 'resnet18', 'backbone.init_from': 'resnet18.pth'}, False)],
)  # fmt: skip
def test_what_was_measured_holds_for_one_network_and_task(given, allowed):
    assert photographs.allows(given) == allowed


def test_another_optimiser_has_a_rate_of_its_own():
    found = values(
        rules.rates(regime(PHOTOS, 32), {'pretrain.optim.name': 'adamw', 'transfer.scratch.optim.name': 'sgd'})
    )
    assert found['pretrain.optim.lr'] == 1e-3 and 'pretrain.optim.weight_decay' not in found
    assert found['transfer.scratch.optim.lr'] == 0.05


@pytest.mark.parametrize('per_class', [0.5, 1, 10, 40, 100, 1e4])
def test_pretrained_weights_are_used_as_was_best_with_so_many_labels(per_class):
    way, why = photographs.way(per_class)
    ahead = {row[1]: 'frozen' if row[2] >= row[3] else 'finetune' for row in photographs.LEADS}
    at = min(ahead, key=lambda n: abs(rules.math.log(n / max(per_class, 1))))
    assert way == ahead[at] and f'with {at} labels per class' in why
