"""The ranking of a shop's products: the order, the parts that explain it, several images of one."""

import numpy as np
import pytest

from prodgen.data.conditions import Conditions
from prodgen.editing.preference import FeatureSpace, fit_posterior
from prodgen.editing.product_ranking import rank_products
from tests.tiny import Squares


@pytest.fixture
def shop(store):
    """The feature space of the squares, and the features of all of them without a look."""
    conditions = Conditions.from_store(store)
    space = FeatureSpace(conditions, 2)
    batch = store.fetch(np.arange(store.size))
    return space, space.rows(batch, np.zeros((store.size, 2))), batch


def test_products_like_the_bought_ones_come_first_and_say_why(shop):
    space, features, batch = shop
    is_red = batch["attributes"][:, 1] == 1
    history_rows = np.flatnonzero(is_red & (batch["label"] == 0))[:8]
    posterior = fit_posterior(features[history_rows], np.ones(len(history_rows)))
    names = [f"sku {i}" for i in range(len(features))]
    ranking = rank_products(posterior, space, features, batch, names, 10)
    assert [x.utility for x in ranking] == sorted((x.utility for x in ranking), reverse=True)
    for product in ranking:
        row = product.rows[0]
        assert product.name == f"sku {row}" and is_red[row] and batch["label"][row] == 0
        assert "colour red (+" in product.describe(1) and "disc (+" in product.describe(1)
        # The parts add up to the utility.
        total = sum(reason.utility for reason in product.reasons)
        assert total == pytest.approx(product.utility)
    (last,) = rank_products(posterior, space, features, batch, names, 96)[-1:]
    assert "colour blue (-" in last.describe(-1)


def test_images_of_one_product_are_ranked_together(shop):
    space, features, batch = shop
    posterior = fit_posterior(features[:3], np.ones(3))
    names = [f"sku {i // 2}" for i in range(len(features))]
    ranking = rank_products(posterior, space, features, batch, names, 1000)
    assert len(ranking) == Squares().size // 2
    assert all(len(product.rows) == 2 for product in ranking)
    first = ranking[0]
    mean = posterior.utility(features[list(first.rows)].mean(axis=0)[None])[0][0]
    assert first.utility == pytest.approx(mean)
